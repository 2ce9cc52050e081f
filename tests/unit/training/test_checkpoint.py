import pytest
import torch
from safetensors import SafetensorError

from luthier.core.errors import TrainingError, WorkspaceError
from luthier.training import Checkpoint, TrainingState, fit

STATE = TrainingState(
    step=7,
    tokens=70,
    target_tokens=35,
    loop_seconds=1.5,
    skipped_steps=1,
    validated_step=5,
    best_step=5,
    best_loss=1.25,
    validations_since_best=1,
    train_curve=[{"step": 7, "loss": 1.5, "gradient_norm": float("inf")}],
    validation_curve=[{"step": 5, "loss": 1.25}],
)


def _optimizer(training, steps=0):
    """AdamW after some steps with made-up gradients."""
    optimizer = torch.optim.AdamW(training.parameters.values(), lr=1e-3)
    _step(training, optimizer, steps)
    return optimizer


def _step(training, optimizer, steps):
    for step in range(steps):
        for parameter in training.parameters.values():
            parameter.grad = torch.full_like(parameter, 0.1 * (step + 1))
        optimizer.step()


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "run.partial")


def test_what_was_saved_is_loaded(new_training, checkpoint):
    training, fresh = new_training(), new_training()
    optimizer, fresh_optimizer = _optimizer(training, steps=3), _optimizer(fresh)
    checkpoint.save(STATE, training.parameters, optimizer)
    state = checkpoint.load(fresh.parameters, fresh_optimizer)
    assert state == STATE
    assert checkpoint.state().step == 7
    for name, parameter in training.parameters.items():
        assert torch.equal(fresh.parameters[name], parameter)
        moments, fresh_moments = optimizer.state[parameter], fresh_optimizer.state[fresh.parameters[name]]
        assert set(moments) == set(fresh_moments)
        assert all(torch.equal(moments[moment], fresh_moments[moment]) for moment in moments)


def test_the_best_weights_are_kept_apart(new_training, checkpoint):
    training, fresh = new_training(), new_training()
    _optimizer(training, steps=2)
    best = {name: parameter.detach().clone() for name, parameter in training.parameters.items()}
    checkpoint.save_best(training.parameters)
    _optimizer(training, steps=1)
    checkpoint.load_best(fresh.parameters)
    assert all(torch.equal(parameter, best[name]) for name, parameter in fresh.parameters.items())


@pytest.mark.parametrize("links", [True, False])
def test_training_goes_the_same_way_from_the_good_state_again(new_training, checkpoint, monkeypatch, links):
    def no_links(*_):
        raise OSError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr("luthier.training.checkpoint.os.link", no_links)
    training = new_training()
    optimizer = _optimizer(training, steps=2)
    checkpoint.save(STATE, training.parameters, optimizer)
    checkpoint.keep_good()
    ends = []
    for _ in range(2):
        checkpoint.load_good(training.parameters, optimizer)
        _step(training, optimizer, 2)
        ends.append({name: parameter.detach().clone() for name, parameter in training.parameters.items()})
        checkpoint.save(STATE, training.parameters, optimizer)  # the good state is another file
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_before_the_first_step_there_are_no_moments(new_training, checkpoint):
    training = new_training()
    checkpoint.save(TrainingState(), training.parameters, _optimizer(training))
    optimizer = _optimizer(training)
    checkpoint.load(training.parameters, optimizer)
    assert not optimizer.state


@pytest.mark.parametrize("error", [OSError(28, "No space left"), SafetensorError("I/O error: No space left")], ids=repr)
def test_a_full_disk_is_a_workspace_error_and_the_old_state_stays(new_training, checkpoint, monkeypatch, error):
    training = new_training()
    checkpoint.save(STATE, training.parameters, _optimizer(training))

    def half_written(_tensors, path, **_):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("luthier.training.checkpoint.save_file", half_written)
    with pytest.raises(WorkspaceError, match="No space left"):
        checkpoint.save(TrainingState(), training.parameters, _optimizer(training))
    assert checkpoint.state().step == 7
    assert [path.name for path in checkpoint.path.parent.iterdir()] == [checkpoint.path.name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda _: b"not a checkpoint at all",
        lambda content: content.replace(b"validated_step", b"validated_stap"),
        lambda content: content.replace(b"__metadata__", b"__metabata__"),
    ],
    ids=["cut", "empty", "other bytes", "unknown field", "no state"],
)
def test_a_damaged_checkpoint_is_a_training_error(new_training, checkpoint, damage):
    training = new_training()
    checkpoint.save(STATE, training.parameters, _optimizer(training))
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(damage(content))
    with pytest.raises(TrainingError, match="cannot read the checkpoint"):
        checkpoint.state()
    with pytest.raises(TrainingError, match="cannot read the checkpoint"):
        fit(training, checkpoint, resume=True, on_step=lambda _: None)


def test_a_missing_checkpoint_is_a_training_error(new_training, checkpoint):
    with pytest.raises(TrainingError, match=checkpoint.path.name):
        fit(new_training(), checkpoint, resume=True, on_step=lambda _: None)


@pytest.mark.parametrize("other", [{"target_modules": ["q_proj", "v_proj"]}, {"r": 8}, {"r": 1}], ids=str)
def test_a_checkpoint_of_other_weights_is_refused_and_changes_nothing(new_training, checkpoint, other):
    theirs, ours = new_training(adapter=other), new_training()
    checkpoint.save(STATE, theirs.parameters, _optimizer(theirs))
    before = {name: parameter.detach().clone() for name, parameter in ours.parameters.items()}
    with pytest.raises(TrainingError, match="trains other weights"):
        checkpoint.load(ours.parameters, _optimizer(ours))
    assert all(torch.equal(parameter, before[name]) for name, parameter in ours.parameters.items())
