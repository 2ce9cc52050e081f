import pytest

from luthier.planning.sufficiency import forecast_data, forecast_labels, forecast_texts


@pytest.mark.parametrize(
    ("rows", "target_tokens", "epochs", "enough", "words"),
    [
        (600, 20_000, 6, True, "stands in 6 or more rows"),
        (49, 20_000, 100, False, "at least 50 rows"),
        (100, 4_000, 3, False, "set training.num_train_epochs to 10"),
        (100, 4_000, 10, True, "enough to learn tone"),
        (100, 4_000, 17, True, "next to nothing more"),
        (600, 0, 6, False, "no row has an answer"),
    ],
)
def test_forecast(rows, target_tokens, epochs, enough, words):
    need = forecast_data(rows, target_tokens, epochs)
    assert need.enough is enough
    assert words in need.forecast
    assert f"{rows:,} training rows ({target_tokens:,} target tokens), each read {epochs} times" in need.forecast


def test_rows_of_a_single_epoch_are_read_once():
    for need in (forecast_data(600, 20_000, 1), forecast_labels(600, 1), forecast_texts(600, 20_000, 1)):
        assert "each read once: " in need.forecast


def test_the_forecast_calls_itself_a_rule_of_thumb():
    assert "rule of thumb" in forecast_data(600, 20_000, 6).forecast


def test_labels_and_texts_need_rows_and_promise_no_facts():
    for few in (forecast_labels(49, 3), forecast_texts(49, 5_000, 3)):
        assert not few.enough
        assert "at least 50 rows" in few.forecast
    for many in (forecast_labels(50, 3), forecast_texts(50, 5_000, 3)):
        assert many.enough
        assert many.forecast.startswith("50 training rows")
        assert "fact" not in many.forecast
    assert "these suffice for 250 weights" in forecast_texts(50, 5_000, 3).forecast
