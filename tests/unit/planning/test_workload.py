from luthier.core.recipe import TrainingSection
from luthier.planning.memory import ForwardPass
from luthier.planning.workload import Workload


def test_what_rows_make_of_packs():
    workload = Workload.of([100] * 90 + [1000], 5000, 700, "made up")
    assert (workload.rows, workload.tokens, workload.longest) == (91, 10_000, 1000)
    assert workload.row_tokens == (90 * 100**2 + 1000**2) // 10_000
    schedule, forward = workload.steps(TrainingSection(gradient_accumulation_steps=2, num_train_epochs=4), 512)
    assert (schedule.tokens_per_step, schedule.training_tokens) == (4000, 40_000)
    assert forward == ForwardPass(2000, 1000, 190)


def test_without_packing_the_longest_row_is_the_largest_pass():
    workload = Workload.of([100] * 90 + [1000], 5000, 0, "made up")
    schedule, forward = workload.steps(TrainingSection(packing=False, per_device_train_batch_size=4), 1024)
    assert schedule.tokens_per_step == 4 * 110
    assert forward.tokens == 1000


def test_few_rows_make_small_steps():
    schedule, forward = Workload.of([50], 20, 0, "made up").steps(TrainingSection(), 1024)
    assert (schedule.tokens_per_step, forward.tokens) == (50, 50)
