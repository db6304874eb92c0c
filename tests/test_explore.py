"""The pure functions of the explorer against the system itself, and the shells' values and callbacks."""

import base64
import gc
import html
import re
import subprocess
import sys
from collections import Counter
from io import BytesIO

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mecsim.agents import make_agent
from mecsim.experiments.figures import AGENT_COLOURS
from mecsim.experiments.notebooks import ExploreParameters
from mecsim.experiments.policies import PolicyError
from mecsim.experiments.runs import Run
from mecsim.explore import comparing, picture, replay, stepping, what_if, widgets
from mecsim.explore.canvas import blank, png
from mecsim.explore.comparing import OneByOne, compare, everyone
from mecsim.explore.fates import trace
from mecsim.explore.knobs import KNOBS, scenario_at
from mecsim.explore.replay import Replay
from mecsim.explore.scenes import scenes, twin_of
from mecsim.explore.shell import BUSY, Shell, Shown, slider
from mecsim.explore.trained import trained_agents
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem, outcome
from mecsim.training import rollout

RULES = ("LPWPO", "OLNPO", "all-on", "greedy", "thrifty")
ADDRESS = re.compile(r'src="data:image/png;base64,([^"]+)"')
WORDS = re.compile(r'class="mecsim-words" role="status">(.*?)</p>')


def picture_of(shell: Shell) -> np.ndarray:
    """The pixels that a shell shows."""
    content = base64.b64decode(ADDRESS.search(shell.picture.value).group(1))
    return np.asarray(Image.open(BytesIO(content)))


def words_of(shell: Shell) -> str:
    return html.unescape(WORDS.search(shell.picture.value).group(1))


def status_of(shell: Shell) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", shell.status.value))


def moved(control: ipywidgets.ValueWidget):
    """Another value that a control can take."""
    if hasattr(control, "step") and hasattr(control, "max"):
        return control.value + control.step if control.value < control.max else control.min
    values = [value for _, value in control._options_full]
    return next(value for value in values if value != control.value)


@pytest.fixture(scope="module")
def learners():
    return trained_agents()


@pytest.fixture(scope="module")
def training() -> Replay:
    return replay.stored_replay()


class TestPicture:
    def test_tells_the_cpu_and_the_income_of_the_action(self) -> None:
        scenario, state = Scenario(), scenes(Scenario(), 21)[-1]
        for name in RULES:
            agent = make_agent(name, scenario)
            view = picture.slot_view(agent, state)
            result = outcome(scenario, state, agent.act(state))
            assert view.income == result.income
            np.testing.assert_allclose(view.own_hz + view.guests_hz, result.cpu_used_hz)
            count = Counter(view.fates)
            assert count["at home"] + count["at a peer"] == result.completed.sum()
            assert f"income {view.income:.1f}" in picture.in_words(view)

    def test_olnpo_helps_nobody_and_offers_everything(self) -> None:
        view = picture.slot_view(make_agent("OLNPO", Scenario()), scenes(Scenario(), 21)[-1])
        assert not {"at a peer", "not offered"} & set(view.fates)
        assert (view.guests_hz == 0).all()

    def test_every_device_has_a_place_of_its_own_nearest_to_its_bs(self) -> None:
        scenario = Scenario()
        stations, devices = picture.places(scenario.devices)
        assert len(np.unique(devices.round(9), axis=0)) == scenario.n_devices
        distance = np.linalg.norm(devices[:, None] - stations, axis=2)
        assert np.array_equal(distance.argmin(axis=1), scenario.cell)

    def test_draws_every_fate_with_its_count(self) -> None:
        view = picture.slot_view(make_agent("OLNPO", Scenario()), scenes(Scenario(), 21)[-1])
        figure = picture.draw_slot(Scenario(), view)
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        count = Counter(view.fates)
        told = {mark[2]: count[fate] for fate, mark in picture.MARKS.items()}
        assert legend == [f"{words}: {number}" for words, number in told.items()]


class TestKnobs:
    def test_the_defaults_are_calibrated(self) -> None:
        assert (
            scenario_at({}) == scenario_at({name: knob.default for name, knob in KNOBS.items()}) == Scenario()
        )

    def test_each_sets_what_the_sweep_of_its_figure_sets(self) -> None:
        found = scenario_at({"xi": 2.0, "zeta": 1.2, "F": 4.0, "B": 1.5, "alpha": 0.5, "rho": 0.4})
        assert found.award_scale == (2.0, 1.0, 1.0)
        assert found.density_scale == (1.0, 1.2, 1.2)
        assert set(found.cpu_hz) == {4e9}
        assert set(found.bandwidth_hz) == {1.5e6}
        assert found.harvest_scale == (0.4,) * 3
        assert found.interference == 0.5

    @pytest.mark.parametrize("name", KNOBS)
    def test_every_value_on_the_slider_is_a_scenario(self, name) -> None:
        knob = KNOBS[name]
        for value in np.arange(knob.low, knob.high + knob.step / 2, knob.step):
            scenario_at({name: min(float(value), knob.high)})
        assert knob.symbol in knob.label
        assert knob.unit in knob.label

    def test_refuses_in_one_sentence(self) -> None:
        with pytest.raises(SettingError, match="parameter = 'pi' is not allowed: it should be one of xi"):
            scenario_at({"pi": 1.0})
        with pytest.raises(SettingError, match=r"psi = 9.0 is not allowed: it should be between 1 and 4"):
            scenario_at({"psi": 9.0})


class TestCompare:
    def test_everyone_in_the_order_of_the_legends(self, learners) -> None:
        assert list(everyone(Scenario(), learners)) == list(AGENT_COLOURS)
        assert list(everyone(Scenario())) == [name for name in AGENT_COLOURS if name in RULES]

    def test_an_agent_plays_on_from_the_warm_up_in_worlds_of_its_own(self) -> None:
        """The same by hand, one world at a time: all-on, then the agent."""
        scenario = scenario_at({"rho": 0.6})
        for name in ("OLNPO", "greedy"):
            agent = make_agent(name, scenario)
            incomes, offloading = [], []
            for seed in comparing.WORLDS:
                system = PhysicalSystem(scenario, seed)
                rollout(make_agent("all-on", scenario), system, comparing.WARM_UP)
                record = rollout(agent, system, 3)
                incomes.append(record.income)
                offloading.append(record.offloading)
            found = compare({name: agent}, scenario, slots=3)[name]
            assert found.income == pytest.approx(np.mean(incomes))
            np.testing.assert_allclose(found.offloading, np.mean(offloading, axis=(0, 1)))

    def test_an_agent_finds_the_same_whoever_plays_beside_it(self, learners) -> None:
        scenario = Scenario()
        together = compare(everyone(scenario, learners), scenario)
        for name in ("INTO", "all-on", "thrifty"):
            alone = compare({name: everyone(scenario, learners)[name]}, scenario)[name]
            assert alone.income == together[name].income

    def test_one_by_one_decides_like_the_agent(self) -> None:
        scenario = Scenario()
        fleet = PhysicalSystem(scenario, (0, 1, 2))
        agent = make_agent("OLNPO", scenario)
        one, batch = OneByOne(agent).act(fleet.state), agent.act(fleet.state)
        np.testing.assert_array_equal(one.placement, batch.placement)

    def test_scarce_energy_costs_everyone(self) -> None:
        usual = compare(everyone(Scenario()), Scenario())
        scarce = scenario_at({"rho": 0.2})
        now = compare(everyone(scarce), scarce)
        assert all(now[name].income < usual[name].income - 10 for name in now)
        assert "earns most" in comparing.in_words(now, usual)

    def test_the_bars_are_as_long_as_the_numbers(self) -> None:
        found = compare(everyone(Scenario()), Scenario())
        left, right = comparing.draw_comparison(found, found, "told").axes
        widths = [bar.get_width() for bar in right.patches]
        assert widths == [one.income for one in found.values()]
        assert sum(bar.get_width() for bar in left.patches) == pytest.approx(
            sum(one.offloading.sum() for one in found.values())
        )

    def test_says_over_how_many_slots(self) -> None:
        assert comparing.averaged(2) == "mean of 8 slots: 2 in each of 4 worlds"


class TestReplay:
    def test_the_training_is_that_of_the_stored_run(self, training) -> None:
        import pandas as pd

        from mecsim.experiments.panels import PROFILES
        from mecsim.experiments.runs import path_of

        table = pd.read_parquet(path_of(Run(agent="INTO"), PROFILES["paper"].folder))
        stored = table[table["metric"] == "training income"].sort_values("slot")["value"]
        np.testing.assert_array_equal(training.income.astype("float32"), stored)

    def test_counts_fit_each_other(self, training) -> None:
        assert (training.offered_to.sum(axis=1) == training.offered).all()
        assert (training.powered <= training.offered).all()
        assert (training.executed <= training.powered).all()
        assert (training.executed_on <= training.offered_to).all()

    def test_a_moment_is_the_mean_of_the_slots_around_it(self, training) -> None:
        now = replay.moment(training, 500)
        assert (now.first, now.last) == (475, 525)
        assert now.offered == training.offered[475:526].mean()
        assert now.running == training.income[401:501].mean()
        assert replay.moment(training, 0).running == training.income[0]
        assert replay.moment(training, 1999).last == 1999

    def test_the_curve_ends_at_the_slot(self, training) -> None:
        figure = replay.draw_replay(training, replay.moment(training, 700))
        assert figure.axes[0].lines[1].get_xdata()[-1] == 700

    @pytest.mark.parametrize("slot", [-1, 2000])
    def test_refuses_a_slot_that_is_not_there(self, training, slot) -> None:
        with pytest.raises(
            SettingError, match=f"slot = {slot} is not allowed: it should be between 0 and 1999"
        ):
            replay.moment(training, slot)


class TestWhatIf:
    @pytest.fixture
    def asked(self):
        scenario = Scenario()
        state = scenes(scenario, 21)[-1]
        return scenario, state, twin_of(scenario, state), make_agent("OLNPO", scenario).act(state)

    def test_the_same_choice_changes_nothing(self, asked) -> None:
        _, _, twin, action = asked
        for device in (0, 60, 164):
            answer = what_if.ask(twin, action, device, int(action.placement[device]))
            assert answer.after.outcome.income == answer.before.outcome.income
            np.testing.assert_array_equal(answer.after.action.cpu_hz, action.cpu_hz)

    def test_a_discarded_task_loses_its_award_alone(self, asked) -> None:
        _, state, twin, action = asked
        device = int(np.flatnonzero(action.offload)[0])
        answer = what_if.ask(twin, action, device, what_if.DISCARD)
        gone = answer.before.outcome.income - answer.after.outcome.income
        assert gone == pytest.approx(state.award[device])
        assert answer.lost == 0

    def test_one_more_device_makes_others_late(self, asked) -> None:
        scenario, state, twin, action = asked
        answer = what_if.ask(twin, action, 33, 2)
        late = answer.before.outcome.completed & ~answer.after.outcome.completed
        assert answer.lost == late.sum() > 5
        assert f"{answer.lost} other tasks are no longer paid" in what_if.in_words(scenario, state, answer)
        assert answer.refined.outcome.completed.sum() == answer.refined.action.offload.sum()

    def test_the_twin_is_left_as_it_was(self, asked) -> None:
        _, _, twin, action = asked
        before = twin.snapshot()
        what_if.ask(twin, action, 3, 1)
        assert twin.snapshot() == before

    @pytest.mark.parametrize(
        ("device", "choice", "sentence"),
        [
            (165, 0, "device = 165 is not allowed"),
            (-1, 0, "device = -1"),
            (0, 3, "choice = 3"),
            (0, -2, "choice = -2"),
        ],
    )
    def test_refuses_in_one_sentence(self, asked, device, choice, sentence) -> None:
        with pytest.raises(SettingError, match=sentence):
            what_if.ask(*asked[2:], device, choice)


class TestStepping:
    def test_the_words_name_the_removal(self) -> None:
        scenario, state = Scenario(), scenes(Scenario(), 21)[-1]
        (offer,) = make_agent("OLNPO", scenario).offers(state)
        found = trace(scenario, state, offer)
        for count, removal in enumerate(found.removals, start=1):
            seen = stepping.look(scenario, state, offer, found, count)
            told = stepping.in_words(found, count, seen)
            assert f"device {removal.task + 1} leaves BS-{removal.bs + 1}" in told
            assert told.endswith("done.") == (count == len(found.removals))
        assert "none has been made yet" in stepping.in_words(
            found, 0, stepping.look(scenario, state, offer, found, 0)
        )


class TestShell:
    @pytest.fixture
    def shells(self, learners, training) -> dict[str, Shell]:
        return {
            "slot": widgets.slot_explorer(learners),
            "step": widgets.step_explorer(learners),
            "what if": widgets.what_if_explorer(learners),
            "compare": widgets.compare_explorer(learners),
            "replay": widgets.replay_explorer(training),
        }

    def test_every_control_changes_what_is_shown(self, shells) -> None:
        for name, shell in shells.items():
            for key, control in shell.controls.items():
                if name == "replay":
                    control.value = 500
                before = words_of(shell), picture_of(shell)
                control.value = moved(control)
                assert status_of(shell) == "Ready."
                changed = words_of(shell) != before[0] or not np.array_equal(picture_of(shell), before[1])
                assert changed, (name, key)

    def test_sliders_wait_until_they_are_let_go_and_tell_symbol_name_and_unit(self, shells) -> None:
        for shell in shells.values():
            for control in shell.controls.values():
                if isinstance(control, ipywidgets.FloatSlider | ipywidgets.IntSlider):
                    assert control.continuous_update is False
                    assert re.search(r"\(.+\)$", control.description), control.description

    def test_the_buttons_of_the_steps(self, shells) -> None:
        shell = shells["step"]
        count = shell.controls["count"]
        shell.buttons["Next"].click()
        shell.buttons["Next"].click()
        assert count.value == 2
        assert words_of(shell).startswith("Removal 2 of ")
        shell.buttons["Back"].click()
        assert count.value == 1
        shell.buttons["To the end"].click()
        assert count.value == count.max
        assert words_of(shell).endswith("done.")
        shell.buttons["Next"].click()
        assert count.value == count.max

    def test_another_offer_has_other_removals(self, shells) -> None:
        shell = shells["step"]
        shell.buttons["To the end"].click()
        before = shell.controls["count"].max
        shell.controls["preset"].value = "printed"
        assert shell.controls["count"].max < before
        assert status_of(shell) == "Ready."
        assert f"of {shell.controls['count'].max}," in words_of(shell)

    def test_the_defaults_come_back_in_one_drawing(self, shells, monkeypatch) -> None:
        shell = shells["compare"]
        before = words_of(shell)
        for name in ("rho", "alpha"):
            shell.controls[name].value = moved(shell.controls[name])
        drawn = []
        monkeypatch.setattr(
            shell, "_show", lambda **values: drawn.append(values) or Shown(blank(1, 1), "drawn")
        )
        shell.buttons["Defaults"].click()
        assert len(drawn) == 1
        assert {name: drawn[0][name] for name in KNOBS} == {
            name: knob.default for name, knob in KNOBS.items()
        }
        assert before != "drawn" == words_of(shell)

    def test_another_device_starts_from_what_it_does(self, shells) -> None:
        shell = shells["what if"]
        action = make_agent("OLNPO", Scenario()).act(scenes(Scenario(), 21)[-1])
        for device in (1, 34, 100):
            shell.controls["device"].value = device
            assert shell.controls["choice"].value == action.placement[device - 1]
            assert "(+0.0)" in words_of(shell)

    def test_the_jumps_of_the_replay_stop_at_its_ends(self, shells) -> None:
        shell = shells["replay"]
        shell.controls["slot"].value = 50
        shell.buttons["100 back"].click()
        assert shell.controls["slot"].value == 0
        shell.buttons["100 on"].click()
        assert words_of(shell).startswith("Slot 100:")

    def test_an_error_is_one_sentence_and_the_picture_stays(self) -> None:
        def show(value: float) -> Shown:
            if value > 1:
                raise SettingError("value = 2 is not allowed:\n it should be small.")
            return Shown(blank(1, 1), "fine")

        shell = Shell({"value": slider("v, value (1)", 0, 2, 1, 0)}, show)
        before = shell.picture.value
        shell.controls["value"].value = 2
        assert status_of(shell) == "value = 2 is not allowed: it should be small."
        assert "Traceback" not in shell.status.value
        assert shell.picture.value == before
        shell.controls["value"].value = 1
        assert status_of(shell) == "Ready."

    def test_it_says_that_it_is_at_work(self) -> None:
        told = []

        def show(value: float) -> Shown:
            told.append(status_of(shell) if shell else "")
            return Shown(blank(1, 1), "fine")

        shell = None
        shell = Shell({"value": slider("v, value (1)", 0, 2, 1, 0)}, show)
        shell.controls["value"].value = 1
        assert told[-1] == BUSY
        assert status_of(shell) == "Ready."

    def test_no_garbage_is_collected_while_a_picture_is_drawn(self) -> None:
        collecting = []

        def show(value: float) -> Shown:
            collecting.append(gc.isenabled())
            if value > 1:
                raise SettingError("value = 2 is not allowed.")
            return Shown(blank(1, 1), "fine")

        shell = Shell({"value": slider("v, value (1)", 0, 2, 1, 0)}, show)
        assert gc.isenabled()
        shell.controls["value"].value = 2
        assert gc.isenabled()
        assert collecting == [False, False]

    def test_what_it_shows_is_escaped_and_described(self) -> None:
        shell = Shell({}, lambda: Shown(blank(1, 1), 'a "b" <script>'))
        assert "<script>" not in shell.picture.value
        assert 'alt="a &quot;b&quot; &lt;script&gt;"' in shell.picture.value

    def test_a_hundred_pictures_leave_no_figure_and_no_handler(self, training) -> None:
        shell = widgets.replay_explorer(training, 0)
        handlers = len(shell.controls["slot"]._trait_notifiers["value"]["change"])
        for slot in range(1, 101):
            shell.controls["slot"].value = slot
        assert plt.get_fignums() == []
        assert len(shell.controls["slot"]._trait_notifiers["value"]["change"]) == handlers

    def test_a_closed_shell_hears_nothing(self, training) -> None:
        shell = widgets.replay_explorer(training, 0)
        control, before = shell.controls["slot"], shell.picture.value
        shell.close()
        control.value = 900
        assert shell.picture.value == before


def test_a_damaged_policy_is_one_sentence(tmp_path) -> None:
    (tmp_path / "INTO-small.safetensors").write_bytes(b"nothing")
    with pytest.raises(PolicyError, match=r"INTO-small\.safetensors is not a readable policy"):
        trained_agents(tmp_path)


def test_png_holds_what_was_drawn() -> None:
    figure = blank(2, 1)
    figure.patch.set_facecolor((1, 0, 0))
    pixels = np.asarray(Image.open(BytesIO(png(figure))))
    assert pixels.shape == (100, 200, 3)
    assert (pixels == (255, 0, 0)).all()


def test_without_the_trained_agents_no_torch_is_imported() -> None:
    code = (
        "from mecsim.explore import widgets\n"
        "for make in (widgets.slot_explorer, widgets.step_explorer, widgets.compare_explorer):\n"
        "    assert 'data:image/png' in make({}).picture.value\n"
        "import sys\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "value"), [("slot", 60), ("device", 0), ("training_slot", 2000)])
def test_a_parameter_of_the_notebook_is_refused_by_name(name, value) -> None:
    usual = {"slot": 20, "device": 34, "training_slot": 300}
    with pytest.raises(SettingError, match=rf"ExploreParameters\.{name} = {value} is not allowed"):
        ExploreParameters(**{**usual, name: value})
