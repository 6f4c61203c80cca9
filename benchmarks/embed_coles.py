"""CoLES as `embed_ablation.py` asks for it: a card's history as a vector, at each of its payments.

    COLES/bin/python benchmarks/embed_coles.py PAYMENTS EMBEDDINGS [--seed 0] [--epochs 10]

Runs in an environment of its own, with pytorch-lifestream but nothing of this project. PAYMENTS is
a Parquet table: `key`, `time` in seconds, `amount`, `learned` (whether a payment may be learned
from), and columns of codes from 1 on. EMBEDDINGS gets 64 columns, in the order of the payments; the
vector of a payment is the state of the network after it.

Contrastive Learning for Event Sequences (Babaev et al., 2020) learns from slices of histories: two
of one card shall be near, those of two cards apart. Network, loss and slices are those of the
library's own examples.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from ptls.data_load.utils import collate_feature_dict
from ptls.frames.coles import CoLESModule
from ptls.frames.coles.coles_dataset import ColesDataset
from ptls.frames.coles.split_strategy import SampleSlices
from ptls.nn import RnnSeqEncoder, TrxEncoder

WIDTH = 64
BATCH_HISTORIES = 64
SLICES, FEWEST, MOST = 5, 5, 60
"""Of a history: how many slices, and how many payments each has."""
LEAST_LEARNED_PAYMENTS = 10
ROLES = ("key", "time", "amount", "learned")

History = dict[str, Any]


def histories(payments: pd.DataFrame) -> Iterator[tuple[np.ndarray[Any, Any], History]]:
    """The rows of each key in order of time, and their columns as tensors."""
    codes = [name for name in payments.columns if name not in ROLES]
    ordered = payments.sort_values(["key", "time"], kind="stable")
    gaps = ordered["time"].groupby(ordered["key"]).diff().fillna(0)
    ordered = ordered.assign(gap=gaps)
    for _, mine in ordered.groupby("key", sort=False):
        numbers = {
            name: torch.tensor(mine[name].to_numpy(np.float32)) for name in ("amount", "gap")
        }
        words = {name: torch.tensor(mine[name].to_numpy(np.int64)) for name in codes}
        time = torch.tensor(mine["time"].to_numpy(np.int64))
        yield mine.index.to_numpy(), {"event_time": time} | numbers | words


def learn(payments: pd.DataFrame, epochs: int) -> RnnSeqEncoder:
    """The encoder, learned from the payments that may be."""
    codes = {
        name: {"in": int(payments[name].max()) + 1, "out": 16}
        for name in payments.columns
        if name not in ROLES
    }
    encoder = RnnSeqEncoder(
        trx_encoder=TrxEncoder(
            embeddings=codes,
            numeric_values={"amount": "log", "gap": "log"},
            embeddings_noise=0.003,
        ),
        hidden_size=WIDTH,
        type="gru",
    )
    model = CoLESModule(
        seq_encoder=encoder,
        optimizer_partial=partial(torch.optim.Adam, lr=0.004),
        lr_scheduler_partial=partial(torch.optim.lr_scheduler.StepLR, step_size=3, gamma=0.8),
    )
    known = [
        one
        for _, one in histories(payments[payments["learned"]])
        if len(one["event_time"]) >= LEAST_LEARNED_PAYMENTS
    ]
    data = ColesDataset(known, SampleSlices(split_count=SLICES, cnt_min=FEWEST, cnt_max=MOST))
    batches = torch.utils.data.DataLoader(
        data, batch_size=BATCH_HISTORIES, shuffle=True, collate_fn=data.collate_fn, drop_last=True
    )
    lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, batches)
    return encoder


def embed(encoder: RnnSeqEncoder, payments: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The state after each payment [payments, 64]."""
    found = np.empty((len(payments), WIDTH), np.float32)
    encoder.eval()
    encoder.is_reduce_sequence = False
    # of like length, so that little is padded
    every = sorted(histories(payments), key=lambda one: len(one[0]))
    with torch.no_grad():
        for start in range(0, len(every), BATCH_HISTORIES):
            rows, batch = zip(*every[start : start + BATCH_HISTORIES], strict=True)
            states = encoder(collate_feature_dict(list(batch))).payload.numpy()
            for place, mine in enumerate(rows):
                found[mine] = states[place, : len(mine)]
    return found


def main() -> None:
    """Learn and embed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("payments")
    parser.add_argument("embeddings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    lightning.seed_everything(given.seed)
    torch.set_num_threads(1)
    payments = pd.read_parquet(given.payments)
    found = embed(learn(payments, given.epochs), payments)
    names = [f"coles_{number}" for number in range(WIDTH)]
    pd.DataFrame(found, columns=names).to_parquet(given.embeddings)


if __name__ == "__main__":
    main()
