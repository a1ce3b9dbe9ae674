"""A small real dataset: emoji from three vendors, in nine classes.

Run:  python -m benchmarks.emoji --output=emoji

Fetches the npm packages emoji-datasource-google, -twitter and -facebook (npm
must be installed; 240 MB) and writes 3,812 images from the first two vendors to
emoji/train and 1,855 from the third to emoji/test, in a folder per category. So
the test images are in a different style. Skin tones are left out: their images
are nearly identical. The images belong to their vendors.
"""

import json
import pathlib
import subprocess
import tarfile
import tempfile

from absl import flags

from inception import paths
from inception.cli import commands, shared
from inception.errors import UserError

_VERSION = '16.0.0'
_SPLITS = {'google': 'train', 'twitter': 'train', 'facebook': 'test'}


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('output', None, 'Folder to write; it must not exist.')


def main() -> None:
  """Fetches the packages and writes the folder."""
  output = pathlib.Path(
    paths.resolve(shared.require('output', 'emoji'), '--output')
  )
  if output.exists():
    raise UserError(f'--output={output} exists; delete it or give another')
  with tempfile.TemporaryDirectory() as folder:
    archives = [_fetch(maker, folder) for maker in _SPLITS]
    for archive, (maker, split) in zip(archives, _SPLITS.items()):
      count = write_pictures(archive, maker, output / split)
      print(f'{maker}: {count} images in {output / split}')


def _fetch(maker: str, folder: str) -> pathlib.Path:
  """Downloads a package and returns its archive."""
  package = f'emoji-datasource-{maker}@{_VERSION}'
  command = ['npm', 'pack', '--silent', package]
  try:
    subprocess.run(command, cwd=folder, check=True)
  except FileNotFoundError as error:
    raise UserError('npm is missing: install Node.js') from error
  except subprocess.CalledProcessError as error:
    raise UserError(f'npm could not fetch {package}') from error
  return next(pathlib.Path(folder).glob(f'*-{maker}-*.tgz'))


def write_pictures(
  archive: pathlib.Path, maker: str, folder: pathlib.Path
) -> int:
  """Writes a package's images to folder/<category>/; returns their number."""
  count = 0
  with tarfile.open(archive) as package:
    for emoji in json.loads(_read(package, 'package/emoji.json')):
      category = emoji['category'].split(' & ')[0].lower()
      if category == 'component' or not emoji[f'has_img_{maker}']:
        continue  # Components, such as skin tones, are not emoji.
      image = emoji['image']
      path = folder / category / f'{maker}_{image}'
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(_read(package, f'package/img/{maker}/64/{image}'))
      count += 1
  return count


def _read(package: tarfile.TarFile, name: str) -> bytes:
  file = package.extractfile(name)
  if file is None:
    raise UserError(f'{name} is not a file in the package')
  return file.read()


if __name__ == '__main__':
  commands.run(main, define_flags)
