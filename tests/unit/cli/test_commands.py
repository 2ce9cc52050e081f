"""What the commands print for people."""

import builtins
import json
import re
from pathlib import Path

import pytest
import yaml

import luthier


def test_init_says_what_comes_next(command, tmp_path):
    ended = command(tmp_path, "init", "shop")
    assert ended.out == "Made shop/luthier.yaml. Put your files into shop/raw, then run: luthier prepare\n"
    again = command(tmp_path, "init", "shop")
    assert (again.code, again.err) == (1, "luthier: shop/luthier.yaml: there is a workspace here already\n")


def test_prepare_prints_files_and_reasons(command, prepared_shop):
    ended = command(prepared_shop, "prepare")
    assert re.match(r"dataset-[0-9a-f]{12}: 54 records read, 52 kept, 2 dropped\nrows: \d+ train, ", ended.out)
    assert re.search(r"raw/tickets.csv +question_answer +4 +2 +2\n", ended.out)
    assert "exact duplicate  1\n" in ended.out
    assert "read raw/handbook.md: 2 records\n" in ended.err


def test_prepare_without_drops_prints_no_reasons(command, prepared_shop):
    ended = command(prepared_shop, "prepare", "-o", "data.sources=[{path: raw/chats.jsonl}]")
    assert "48 kept, 0 dropped" in ended.out
    assert "dropped because" not in ended.out


def test_check_exits_2_when_the_model_cannot_learn(command, prepared_shop):
    ended = command(prepared_shop, "check", "-o", "adapter.r=1")
    assert ended.code == 2
    assert re.search(r"^overfit_rows +fail ", ended.out, re.MULTILINE)
    assert ended.out.endswith("Verdict: fail\n")


def test_plan_prints_time_memory_and_cost(command, prepared_shop):
    ended = command(prepared_shop, "plan", "-o", "planning.price_per_hour=3600")
    assert re.search(r"^Time:   \d+\.\d seconds \(\d+\.\d to \d+\.\d\), measured", ended.out)
    assert re.search(r"^Memory: \d\.\d GB \(weights .*\nCost:   .* USD$", ended.out, re.MULTILINE)
    assert re.search(r"^NVIDIA L4 +24\.0 GB ", ended.out, re.MULTILINE)
    assert re.search(r"^adapter.method +lora +same ", ended.out, re.MULTILINE)
    assert re.search(r"^lora, r 16 +[\d,]+ +\d\.\d GB", ended.out, re.MULTILINE)
    assert "Over 12 months, doing it takes about " in ended.out
    assert Path(ended.out.split()[-1]).is_file()


def test_plan_writes_what_it_proposes_when_asked(command, prepared_shop):
    ended = command(prepared_shop, "plan", "--write")
    assert "Written into " in ended.out
    assert "num_train_epochs: 16" in (prepared_shop / "luthier.yaml").read_text(encoding="utf-8")
    assert re.search(r"^- Training needs about \d\.\d GB", ended.out, re.MULTILINE)


def test_train_and_evaluate_say_what_comes_next(command, prepared_shop):
    trained = command(prepared_shop, "train")
    assert trained.out.endswith(". Next: luthier evaluate\n")
    evaluated = command(prepared_shop, "evaluate")
    assert "**INCONCLUSIVE: " in evaluated.out
    assert (prepared_shop / evaluated.out.split()[-1] / "answers.jsonl").is_file()


def test_a_failed_gate_exits_2(command, evaluated_shop, monkeypatch):
    monkeypatch.setattr("luthier.evaluation.assessment.overall", lambda _results: "fail")
    ended = command(evaluated_shop, "evaluate")
    assert ended.code == 2
    assert "**FAIL: this run must not be released.**" in ended.out


def test_data_show_prints_conversations_and_texts(command, prepared_shop):
    shown = command(prepared_shop, "data", "show", "--limit", "100").out
    rows = shown.count("--- row-")
    assert rows == command(prepared_shop, "prepare", "--json").json["splits"]["train"]
    assert re.search(
        r"^system: You are the shop\.\nuser: How long does .+\nassistant: In .+ days\.$", shown, re.MULTILINE
    )
    assert command(prepared_shop, "data", "show", "--limit", "1").out.count("--- row-") == 1


def test_data_why_names_every_dropped_record(command, prepared_shop):
    assert command(prepared_shop, "data", "why").out.splitlines() == [
        "raw/tickets.csv row 3: exact duplicate: of raw/tickets.csv row 1",
        '    {"question": "Where is the shop in Leeds?", "answer": "It is in 5 Kirkgate, beside the market."}',
        "raw/tickets.csv row 4: too short: 1 words, at least 4 wanted",
        '    {"question": "Hm", "answer": "?"}',
    ]


def test_flags_are_counted_and_shown(command, prepared_shop):
    turns = [{"role": role, "content": f"{role} says {n}"} for n in range(60) for role in ("user", "assistant")]
    (prepared_shop / "long.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    overrides = ["data.sources=[{path: raw}, {path: long.jsonl}]", "data.over_length=truncate"]
    overrides += ["data.split.test=0", "data.split.validation=0"]
    made = command(prepared_shop, "prepare", *(part for each in overrides for part in ("-o", each)))
    assert re.search(r"^kept, but flagged +rows\nshortened +1$", made.out, re.MULTILINE)
    shown = command(prepared_shop, "data", "show", "--flag", "short").out
    assert re.match(r"--- row-\w+  long.jsonl row 1\nflagged: shortened: [\d,]+ tokens to \d+\nsystem: ", shown)
    assert shown.count("--- row-") == 1
    assert command(prepared_shop, "data", "why", "--record", "long.jsonl:1").out.startswith(
        "long.jsonl row 1: kept; shortened: "
    )


def test_one_record_is_printed_as_json(command, prepared_shop):
    asked = "What is in\x7f the box with the blue lid?"
    line = json.dumps({"question": asked, "answer": "Two cups, and a saucer for each of them."})
    (prepared_shop / "odd.jsonl").write_text(line + "\n", encoding="utf-8")
    overrides = ("-o", "data.sources=[{path: raw}, {path: odd.jsonl}]")
    assert command(prepared_shop, "prepare", *overrides).code == 0
    said, _, original = command(prepared_shop, "data", "why", "--record", "odd.jsonl:1").out.partition("\n")
    assert said.startswith("odd.jsonl row 1: ")
    assert "\\u007f" in original
    assert json.loads(original)["question"] == asked


def test_data_of_a_dataset_that_is_named(command, prepared_shop):
    first = command(prepared_shop, "registry", "list", "dataset", "--json").json["artefacts"][0]["id"]
    command(prepared_shop, "prepare", "-o", "data.sources=[{path: raw/handbook.md}]")
    assert command(prepared_shop, "data", "why").out == ""
    assert command(prepared_shop, "data", "why", first[:14]).out.startswith("raw/tickets.csv row 3")


def test_registry_lists_shows_and_removes(command, evaluated_shop):
    listed = command(evaluated_shop, "registry", "list").out.splitlines()
    assert listed[0].split() == ["id", "alias", "made", "files"]
    assert len(listed) == 1 + 3 + 1 + 1 + 1 + 1  # sources, dataset, base, run, evaluation
    evaluation = command(evaluated_shop, "registry", "list", "evaluation", "--json").json["artefacts"][0]["id"]
    run = command(evaluated_shop, "registry", "list", "run", "--json").json["artefacts"][0]
    shown = yaml.safe_load(command(evaluated_shop, "registry", "show", run["id"]).out)
    assert shown == run
    assert "torch" in shown["environment"]["packages"]
    refused = command(evaluated_shop, "registry", "rm", run["id"])
    assert (refused.code, evaluation in refused.err) == (1, True)
    assert re.fullmatch(
        rf"removed {evaluation}, 0\.\d MB freed\n", command(evaluated_shop, "registry", "rm", evaluation).out
    )
    assert command(evaluated_shop, "registry", "rm", run["id"]).code == 0
    assert list((evaluated_shop / ".luthier" / "runs").iterdir()) == []


def test_gc_leaves_what_is_needed(command, evaluated_shop):
    (evaluated_shop / ".luthier" / "datasets" / "dataset-000000000000").mkdir()
    before = {path.name for path in (evaluated_shop / ".luthier").iterdir()}
    assert command(evaluated_shop, "registry", "gc").out == (
        "removed .luthier/datasets/dataset-000000000000\n0.0 MB freed\n"
    )
    assert {path.name for path in (evaluated_shop / ".luthier").iterdir()} == before
    assert command(evaluated_shop, "evaluate").code == 0


def test_monitor_without_requests(command, prepared_shop):
    assert command(prepared_shop, "monitor").out.startswith("No requests yet.")


def test_chat_goes_on_until_an_empty_line(command, evaluated_shop, monkeypatch):
    said = iter(["How long does delivery take in Ely?", "And in York?", ""])
    monkeypatch.setattr(builtins, "input", lambda _prompt: next(said))
    ended = command(evaluated_shop, "chat")
    assert ended.code == 0, ended.err
    assert re.match(r"Talking to run-[0-9a-f]{12}\. An empty line ends it\.\nbot: .*\nbot: ", ended.out, re.DOTALL)
    assert list(said) == []


def test_chat_ends_with_the_input(command, evaluated_shop, monkeypatch):
    def end(_prompt):
        raise EOFError

    monkeypatch.setattr(builtins, "input", end)
    base = command(evaluated_shop, "registry", "list", "base", "--json").json["artefacts"][0]["id"]
    ended = command(evaluated_shop, "chat", base)
    assert (ended.code, ended.out) == (0, f"Talking to {base}. An empty line ends it.\n")


def test_chat_with_nothing_that_answers(command, evaluated_shop):
    dataset = command(evaluated_shop, "registry", "list", "dataset", "--json").json["artefacts"][0]["id"]
    ended = command(evaluated_shop, "chat", dataset)
    assert ended.code == 1
    assert ended.err.endswith(")\n")
    assert f"{dataset} is no model of this workspace (base-" in ended.err


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_promote_says_why_it_refuses(command, evaluated_shop, verdict):
    from luthier.core.artefacts import Evaluation

    with luthier.open_project(evaluated_shop) as project:
        run = project.registry.latest("run").id
        gate = {"gate": "loss", "verdict": verdict, "reason": "Worse beyond chance."}
        summary = {"verdict": verdict, "gates": [gate, {"gate": "facts", "verdict": "pass", "reason": "Fine."}]}
        project.registry.add(
            Evaluation(
                id="evaluation-000000000000", parents=(run, project.registry.get(run).parents[1]), summary=summary
            )
        )
    refused = command(evaluated_shop, "release", "promote", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"luthier: the verdict on {run} is {verdict}: Worse beyond chance "
        "(a better run, or --force with a reason, which is recorded)\n"
    )


def test_tokenizer_commands_print_tables(command, prepared_shop):
    report = command(prepared_shop, "tokenizer", "report")
    assert re.search(r"^tiny-llama  320 +[\d,]+ +\d\.\d\d +\d\.\d\d +\d+\.\d%$", report.out, re.MULTILINE)
    assert "\nWords that tiny-llama splits at the highest cost:\n\nword " in report.out
    trained = command(prepared_shop, "tokenizer", "train", "--kind", "unigram", "--size", "300", "-o", "mine")
    assert re.search(r"^mine +\d+ ", trained.out, re.MULTILINE)
    assert trained.out.endswith("It lies in mine; transformers' AutoTokenizer loads it.\n")
    assert "Words that mine splits" in command(prepared_shop, "tokenizer", "report", "--tokenizer", "mine").out


def test_tokenizer_extend_lists_words_and_says_what_comes_next(command, prepared_shop):
    extended = command(prepared_shop, "tokenizer", "extend", "--words", "15", "-o", "models/words")
    table, _, rest = extended.out.partition("\n\n")
    assert table.startswith("new word ")
    savings = [int(line.split()[-1]) for line in table.splitlines()[1:11]]
    assert savings == sorted(savings, reverse=True)
    assert rest.endswith("set in luthier.yaml: model.base: models/words\n")
    again = command(prepared_shop, "tokenizer", "extend", "--words", "15", "-o", "models/words")
    assert (again.code, again.err) == (1, "luthier: models/words: there is something already (a new folder)\n")


def test_data_tokens_marks_what_is_learned(command, prepared_shop):
    shown = command(prepared_shop, "data", "tokens", "--limit", "2").out
    assert shown.startswith("What the model learns to write is between ⟦ and ⟧.\n--- row-")
    assert re.search(r"^--- row-\w+  raw/chats.jsonl row 1: \d+ tokens, \d+ targets$", shown, re.MULTILINE)
    assert re.search(r"^<\|im_start\|>assistant\n⟦In .+ days\.<\|im_end\|>⟧$", shown, re.MULTILINE)
    assert shown.count("--- row-") == 2
    row = re.search(r"row-\w+", shown)[0]
    one = command(prepared_shop, "data", "tokens", "--row", row).out
    assert one.count("---") == 1
    assert one in shown


@pytest.mark.parametrize(("variable", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_data_tokens_colours_where_colours_are_wanted(command, prepared_shop, monkeypatch, variable, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "1")
    shown = command(prepared_shop, "data", "tokens", "--limit", "1").out
    assert ("\x1b[32mIn " in shown) is coloured
    assert ("\x1b[2;32m<|im_end|>" in shown) is coloured
    assert ("⟦" in shown) is not coloured


def test_data_stats_prints_the_figures_of_the_report(command, prepared_shop):
    shown = command(prepared_shop, "data", "stats").out
    assert re.match(
        r"dataset-\w+: 54 records read, 52 kept, 2 dropped\n\nsplit +rows +longest, in words\ntrain ", shown
    )
    assert re.search(r"^A row has \d+ tokens on average, \d+ of them targets; the longest \d+\.", shown, re.MULTILINE)
    assert re.search(r"^language +rows\n", shown, re.MULTILINE)
    assert "\nquestion and answer  50\n" in shown
    assert re.search(r"^Is it enough\? No\. ", shown, re.MULTILINE)
