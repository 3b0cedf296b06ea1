"""The recommendation service: a small model, trained when the service starts, asked in micro-batches.

Requests that come within a few milliseconds share one inference, a span of its own with the model's name, version and
batch size; products out of stock are left out of the answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from opentelemetry.trace import Link, SpanContext, get_current_span

from shop import data
from shop.model import train_and_judge
from shop.telemetry import SECONDS_BOUNDS
from shop.web import Service

MODEL_NAME = "shop-pmi-svd"
GATHER_S = 0.004
BATCH_MAX = 32
CANDIDATES = 12

Ranked = list[tuple[int, float]]


class _Question(NamedTuple):
    basket: list[int]
    answer: asyncio.Future[Ranked]
    context: SpanContext


def build(service: Service) -> None:
    """Train, and add the route and the inference loop."""
    app, log = service.app, service.log
    started = time.perf_counter()
    history = data.purchases(service.layout.seed)
    model, quality = train_and_judge(history, data.PRODUCTS)
    log.info("Trained model %s on %d customers in %d ms: hit rate at 10 is %.3f, best sellers alone %.3f", MODEL_NAME,
             len(history), (time.perf_counter() - started) * 1000, *quality)  # fmt: skip
    about = {"model.name": MODEL_NAME, "model.version": service.version}
    latency = service.meter.create_histogram(
        "model.inference.duration",
        unit="s",
        description="Duration of one inference of a batch.",
        explicit_bucket_boundaries_advisory=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, *SECONDS_BOUNDS[-4:]),
    )
    sizes = service.meter.create_histogram(
        "model.inference.batch_size",
        unit="{request}",
        description="Requests that shared one inference.",
        explicit_bucket_boundaries_advisory=(1, 2, 4, 8, 16, 32),
    )
    questions: asyncio.Queue[_Question] = asyncio.Queue()

    async def infer() -> None:
        while True:
            batch = [await questions.get()]
            await asyncio.sleep(GATHER_S)
            while not questions.empty() and len(batch) < BATCH_MAX:
                batch.append(questions.get_nowait())
            begun = time.perf_counter()
            with service.tracer.start_as_current_span(
                "inference",
                links=[Link(question.context) for question in batch],
                attributes={**about, "model.batch_size": len(batch), "model.rank": model.embeddings.shape[1]},
            ):
                answers = model.best([question.basket for question in batch], CANDIDATES)
            latency.record(time.perf_counter() - begun, about)
            sizes.record(len(batch), about)
            for question, ranked in zip(batch, answers, strict=True):
                if not question.answer.done():
                    question.answer.set_result(ranked)

    @app.get("/recommendations")
    async def recommend(customer: int = -1, sku: int = -1, count: int = 4) -> dict[str, Any]:
        basket = history[customer][-3:].tolist() if 0 <= customer < len(history) else []
        if 0 <= sku < data.PRODUCTS:
            basket.append(sku)
        if not basket:
            log.info("Customer %d is new: best sellers recommended", customer)
        question = _Question(basket, asyncio.get_running_loop().create_future(), get_current_span().get_span_context())
        questions.put_nowait(question)
        ranked = await question.answer
        stock = await service.call(
            "catalogue", "GET", "/stock", params={"skus": ",".join(str(sku) for sku, _ in ranked)}
        )
        items = [{"sku": found, "score": round(score, 4)} for found, score in ranked if stock[str(found)] > 0][:count]
        log.info("Recommended %d products to customer %d, best score %.3f", len(items), customer, ranked[0][1])
        return {"items": items}

    service.tasks.append(infer)
