"""A narrow Inception-v1 on 1,797 handwritten digits; the default for training.

Run:     python train.py --config=configs/digits.py --workdir=runs/digits
Needs:   Two CPU cores for two minutes.
Expect:  Top-1 of about 98.8 %; seeds 0 to 4 reached 97.5 to 99.7 %.
"""

from inception.config.demo import get_config

__all__ = ['get_config']
