"""The cache of encoded examples, which all data sets share."""

from inception.data.sources import source


def test_a_cache_keeps_what_fits_and_rereads_the_rest():
  reads = []

  def read(index):
    reads.append(index)
    return bytes([index]) * 10

  cached = source.cached(read, cache_bytes=25)
  for _ in range(2):
    assert [cached(i) for i in range(4)] == [bytes([i]) * 10 for i in range(4)]
  assert reads == [0, 1, 2, 3, 2, 3]
  assert source.cached(read, cache_bytes=0) is read
