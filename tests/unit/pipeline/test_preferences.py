import luthier
from luthier.pipeline.base import open_base
from luthier.pipeline.preferences import answer_pairs, rated_answers
from luthier.pipeline.prepare import dataset_rows, find_dataset


def _text(base, row):
    ids = [token for token, target in zip(row.input_ids, row.targets, strict=True) if target]
    return base.tokenizer.decode(ids, skip_special_tokens=True)


def _base_and_rows(shop):
    with luthier.open_project(shop) as project:
        base = open_base(project)
        return base, dataset_rows(project, find_dataset(project, base), "train")


def test_pairs_share_their_prompt_and_only_the_answers_are_targets(rated_shop):
    base, rows = _base_and_rows(rated_shop)
    paired = {row.id: row for row in rows if row.rejected}
    pairs = answer_pairs(base, rows)
    assert [pair.id for pair in pairs] == list(paired)
    assert 0 < len(pairs) < len(rows)
    for pair in pairs:
        assert _text(base, pair.chosen) == paired[pair.id].messages[-1]["content"]
        assert _text(base, pair.rejected) == paired[pair.id].rejected[-1]["content"]
        prompt = pair.chosen.targets.index(True)
        assert pair.chosen.input_ids[:prompt] == pair.rejected.input_ids[:prompt]
        assert not any(pair.rejected.targets[:prompt])


def test_ratings_and_both_answers_of_pairs_are_rated(rated_shop):
    base, rows = _base_and_rows(rated_shop)
    rated = rated_answers(base, rows, 0, 256)
    assert rated == rated_answers(base, rows, 0, 256) != rated_answers(base, rows, 1, 256)
    liked = {example.id: example.liked for example in rated}
    assert len(liked) == len(rated)
    for row in rows:
        assert liked.pop(row.id) == (bool(row.rejected) or row.rating == "up")
        if row.rejected:
            assert liked.pop(f"{row.id}/rejected") is False
    assert not liked
    answers = sorted(_text(base, example.row) for example in rated)
    assert sorted(_text(base, example.mismatched) for example in rated) == answers
    for example in rated:
        prompt = example.row.targets.index(True)
        assert example.mismatched.input_ids[:prompt] == example.row.input_ids[:prompt]
        assert _text(base, example.mismatched) != _text(base, example.row)


def test_a_mismatched_answer_makes_no_row_longer_than_rows_may_be(rated_shop):
    base, rows = _base_and_rows(rated_shop)
    longest = max(len(example.row) for example in rated_answers(base, rows, 0, 256))
    rated = rated_answers(base, rows, 0, longest)
    assert max(len(example.mismatched) for example in rated) == longest
    assert min(example.mismatched.target_tokens for example in rated) > 0
