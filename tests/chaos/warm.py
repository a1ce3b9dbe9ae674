"""What the fork server imports: everything slow, and nothing that has run."""

from inception.data import batches
from inception.training import loop
from tests import tiny

batches._CHUNK = 4  # The graph of the host pipeline grows with it.

__all__ = ['loop', 'tiny']
