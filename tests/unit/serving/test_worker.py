import asyncio
import threading

import pytest

from luthier.core.generation import GenerationRequest
from luthier.serving.api_error import ApiError
from luthier.serving.worker import GenerationWorker, Job

LEFT = ApiError(499, "the client left")


def run(scenario, generator, queue_limit=2, parallel=1):
    """Run an async scenario beside a worker."""

    async def main():
        with GenerationWorker(generator, parallel, queue_limit) as worker:
            try:
                return await scenario(worker)
            finally:
                generator.go_on.set()

    return asyncio.run(main())


def job(order, outcomes):
    return Job(GenerationRequest("base", ({"role": "user", "content": order},)), outcomes.append)


async def started(generator):
    assert await asyncio.to_thread(generator.started.acquire, timeout=10)


def test_jobs_that_find_no_thread_wait_their_turn_in_order(generator):
    outcomes = []

    async def scenario(worker):
        jobs = [job(order, outcomes) for order in ("wait", "b", "c")]
        worker.submit(jobs[0])
        await started(generator)
        worker.submit(jobs[1])
        worker.submit(jobs[2])
        assert len(generator.requests) == 1
        generator.go_on.set()
        return [[event.text async for event in each.events()] for each in jobs]

    texts = run(scenario, generator)
    assert ["".join(pieces) for pieces in texts] == ["waited", "You said: b", "You said: c"]
    assert [outcome.answer for outcome in outcomes] == ["waited", "You said: b", "You said: c"]
    assert generator.closed == 3


def test_jobs_run_at_once_and_end_in_any_order(generator):
    outcomes = []

    async def scenario(worker):
        slow, quick = job("wait", outcomes), job("quick", outcomes)
        worker.submit(slow)
        await started(generator)
        worker.submit(quick)
        texts = [[event.text async for event in quick.events()]]
        assert not slow.ended
        generator.go_on.set()
        return [*texts, [event.text async for event in slow.events()]]

    texts = run(scenario, generator, parallel=2)
    assert ["".join(pieces) for pieces in texts] == ["You said: quick", "waited"]
    assert generator.threads == {"luthier-answers-0", "luthier-answers-1"}


def test_the_limit_counts_what_runs_and_what_waits(generator):
    outcomes = []

    async def scenario(worker):
        for _ in range(3):
            worker.submit(job("wait", outcomes))
        with pytest.raises(ApiError, match="1 requests are waiting"):
            worker.submit(job("too many", outcomes))
        generator.go_on.set()

    run(scenario, generator, queue_limit=1, parallel=2)


def test_one_runs_and_as_many_as_the_limit_wait_the_next_is_refused(generator):
    outcomes = []

    async def scenario(worker):
        for _ in range(3):
            worker.submit(job("wait", outcomes))
        with pytest.raises(ApiError) as caught:
            worker.submit(job("too many", outcomes))
        return caught.value

    error = run(scenario, generator)
    assert error.status_code == 429
    assert error.headers == {"retry-after": "2"}
    assert error.body.error.message.startswith("2 requests are waiting already")


def test_cancelling_a_running_job_ends_it_at_once_and_closes_the_generator(generator, wait_until):
    outcomes = []

    async def scenario(worker):
        endless = job("go on", outcomes)
        worker.submit(endless)
        events = endless.events()
        assert (await anext(events)).text == "more "
        worker.cancel(endless, LEFT)
        with pytest.raises(ApiError) as caught:
            async for _ in events:
                pass
        await asyncio.to_thread(wait_until, lambda: generator.closed == 1)
        return caught.value

    assert run(scenario, generator) is LEFT
    [outcome] = outcomes
    assert (outcome.status, outcome.finish_reason) == (499, None)
    assert outcome.answer.startswith("more ")


def test_a_blocked_generator_does_not_delay_a_cancellation(generator):
    outcomes = []

    async def scenario(worker):
        blocked = job("wait", outcomes)
        worker.submit(blocked)
        await started(generator)
        worker.cancel(blocked, LEFT)
        assert [outcome.status for outcome in outcomes] == [499]
        generator.go_on.set()
        after = job("after", outcomes)
        worker.submit(after)
        return [event.text async for event in after.events()]

    assert "".join(run(scenario, generator)) == "You said: after"
    assert [outcome.status for outcome in outcomes] == [499, 200]


def test_cancelling_a_waiting_job_frees_its_place_and_never_runs_it(generator):
    outcomes = []

    async def scenario(worker):
        first, second = job("wait", outcomes), job("never", outcomes)
        worker.submit(first)
        worker.submit(second)
        worker.cancel(second, LEFT)
        worker.submit(job("instead", outcomes))
        generator.go_on.set()
        return [event.text async for event in first.events()]

    assert run(scenario, generator, queue_limit=1) == ["waited"]
    assert [request.messages[0]["content"] for request in generator.requests][:1] == ["wait"]
    assert "never" not in [request.messages[0]["content"] for request in generator.requests]


def test_cancelling_what_has_ended_changes_nothing(generator):
    outcomes = []

    async def scenario(worker):
        done = job("hello", outcomes)
        worker.submit(done)
        texts = [event.text async for event in done.events()]
        worker.cancel(done, LEFT)
        return texts

    run(scenario, generator)
    assert [outcome.status for outcome in outcomes] == [200]


def test_stopping_ends_what_runs_and_what_waits_each_once(generator):
    outcomes = []

    async def main():
        with GenerationWorker(generator, 1, 4) as worker:
            for _ in range(3):
                worker.submit(job("go on", outcomes))
            await started(generator)
        with pytest.raises(ApiError) as caught:
            worker.submit(job("late", outcomes))
        return caught.value, worker.ready

    error, ready = asyncio.run(main())
    assert (error.status_code, ready) == (503, False)
    assert [outcome.status for outcome in outcomes] == [503, 503, 503]
    assert generator.closed == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("luthier-answers")]


def test_a_generator_that_ends_without_a_reason_is_a_failure(generator, caplog):
    outcomes = []

    async def scenario(worker):
        broken = job("never finish", outcomes)
        worker.submit(broken)
        with pytest.raises(ApiError) as caught:
            async for _ in broken.events():
                pass
        return caught.value

    assert run(scenario, generator).status_code == 500
    assert [(outcome.status, outcome.answer) for outcome in outcomes] == [(500, "half an ")]
    assert "without a finish reason" in caplog.text
