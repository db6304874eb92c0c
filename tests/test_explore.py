"""The pure functions of the explorer against the system itself, and the widgets' values and callbacks."""

import gc
import html
import itertools
import re
import subprocess
import sys
import time
from collections import Counter
from threading import Thread

import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyArrow
from pages import strip_widgets

from mecsim.agents import AGENTS, Agent, make_agent
from mecsim.agents.base import Offer
from mecsim.agents.ddqn import DDQNSettings
from mecsim.agents.into import INTOSettings
from mecsim.experiments.panels import PROFILES
from mecsim.experiments.plots import AGENT_COLOURS
from mecsim.experiments.runs import Run, path_of
from mecsim.experiments.studies.guarantees import KINDS, proto_action
from mecsim.experiments.studies.lookup import warm_states
from mecsim.explore import comparing, playback, slots, what_if, widgets
from mecsim.explore.comparing import KNOBS, compare, everyone, scenario_at, trained_agents
from mecsim.explore.drawing import blank
from mecsim.explore.playback import Playback
from mecsim.explore.slots import scenes, slot_view
from mecsim.explore.stepping import stage, trace
from mecsim.explore.widgets import BUSY, Shell, slider
from mecsim.refinement import Refinement, line_1, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem, outcome
from mecsim.training import rollout
from mecsim.twin import DigitalTwin

PRESETS = ("calibrated", "printed")
READINGS = ("reassess", "one-shot")
RULES = ("LPWPO", "OLNPO", "all-on", "greedy", "thrifty", "planner")
SETTINGS = [
    Refinement(),
    Refinement(reading="one-shot", cpu="actor"),
    Refinement(energy="one by one", hopeless="lowest index"),
    Refinement(energy="off", stations="last first", cpu="pro rata"),
]
INTO_SMALL = INTOSettings(actor_hidden=(16,), critic_hidden=(8,))
SMALL = {"INTO": INTO_SMALL, "untrained": INTO_SMALL, "DDQN": DDQNSettings(hidden=(16,))}


@pytest.fixture(scope="module")
def learners():
    return trained_agents()


@pytest.fixture(scope="module")
def training() -> Playback:
    return playback.stored_playback()


@pytest.fixture(scope="module")
def state():
    return scenes(Scenario(), 21)[-1]


def random_offers(scenario: Scenario, seed: int):
    """Warm states with a proto-action of each kind, and the offer that it makes."""
    rng = np.random.default_rng(seed)
    for state in warm_states(scenario, seed, 2):
        for kind in KINDS:
            proto = proto_action(kind, scenario, rng)
            yield state, proto, Offer(line_1(proto), proto.cpu_share)


class TestStepping:
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("settings", SETTINGS, ids=str)
    def test_the_removals_end_in_the_action_of_refine(self, preset, settings) -> None:
        scenario = Scenario.preset(preset)
        for state, proto, offer in random_offers(scenario, seed=3):
            found = trace(scenario, state, offer, settings)
            for name, value in vars(refine(scenario, state, proto, settings)).items():
                np.testing.assert_array_equal(getattr(found.action, name), value)
            assert np.array_equal(found.placement_after(len(found.removals)), found.action.placement)
            assert np.array_equal(found.placement_after(0), offer.placement)
            tasks = [removal.task for removal in found.removals]
            assert len(set(tasks)) == len(tasks)
            assert np.array_equal(offer.placement[tasks], [removal.bs for removal in found.removals])
            lines = [removal.line for removal in found.removals]
            assert lines == sorted(lines)
            end = stage(found, len(found.removals))
            assert not end.hopeless.any()
            assert (end.used_hz <= state.cpu_hz).all() or settings.cpu == "actor"


class TestSlots:
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("name", AGENTS)
    def test_fates_are_what_the_agent_does(self, name, preset) -> None:
        scenario = Scenario.preset(preset)
        agent = make_agent(name, scenario, **({"settings": SMALL[name]} if name in SMALL else {}))
        for state in warm_states(scenario, 2, 3):
            view, action = slot_view(agent, state), agent.act(state)
            assert np.array_equal(view.action.placement, action.placement)
            at_home = action.placement == scenario.cell
            assert np.array_equal([fate == "at home" for fate in view.fates], at_home)
            assert np.array_equal([fate == "at a peer" for fate in view.fates], action.offload & ~at_home)
            result = outcome(scenario, state, action)
            assert view.income == result.income
            np.testing.assert_allclose(view.used_hz(at_home) + view.used_hz(~at_home), result.cpu_used_hz)
            assert f"income {view.income:.1f} from {result.completed.sum()} of" in slots.describe_slot(view)

    def test_lpwpo_deals_guests_where_a_bs_is_free(self) -> None:
        scenario = Scenario(devices=(2, 60, 60), cpu_hz=(20e9, 4e9, 4e9))
        agent = make_agent("LPWPO", scenario)
        state = next(warm_states(scenario, 0, 1))
        home, shared = (trace(scenario, state, offer) for offer in agent.offers(state))
        told = slots.fates([home, shared])
        assert "at a peer" in told
        assert np.array_equal(shared.action.placement, agent.act(state).placement)
        lacking = [removal.task for removal in home.removals if removal.why == "no energy"]
        assert {told[task] for task in lacking} <= {"no energy"}

    def test_an_agent_that_does_not_tell_its_offers_is_refused_in_one_sentence(self, state) -> None:
        class Silent(Agent):
            def act(self, state):
                raise NotImplementedError

        with pytest.raises(SettingError, match="agent = Silent is not allowed: why its tasks are discarded"):
            slot_view(Silent(Scenario()), state)

    def test_every_device_has_a_place_of_its_own_nearest_to_its_bs(self) -> None:
        scenario = Scenario()
        stations, devices = slots.places(scenario.devices)
        assert len(np.unique(devices.round(9), axis=0)) == scenario.n_devices
        distance = np.linalg.norm(devices[:, None] - stations, axis=2)
        assert np.array_equal(distance.argmin(axis=1), scenario.cell)

    def test_the_arrows_are_as_wide_as_what_goes_over_the_wires(self, learners, state) -> None:
        """From each BS to each other one, what its own devices have computed there."""
        view = slot_view(everyone(Scenario(), learners)["INTO"], state)
        cell, placement = Scenario().cell, view.action.placement
        arrows = [patch for patch in slots.draw_slot(view).axes[0].patches if isinstance(patch, FancyArrow)]
        expected = {}
        for source, target in itertools.permutations(range(3), 2):
            over = (cell == source) & (placement == target)
            expected[source, target] = state.size_bits[over].sum()
            assert view.wired_bits[source, target] == pytest.approx(expected[source, target])
        widths = np.array([arrow._width for arrow in arrows])
        np.testing.assert_allclose(
            widths / widths.sum(), np.array(list(expected.values())) / sum(expected.values())
        )

    def test_draws_every_fate_with_its_count(self, state) -> None:
        view = slot_view(make_agent("OLNPO", Scenario()), state)
        count = Counter(view.fates)
        assert count["at a peer"] == count["not offered"] == 0 < count["no energy"]  # of OLNPO
        legend = [text.get_text() for text in slots.draw_slot(view).legends[0].get_texts()]
        assert legend == [
            *(f"{words}: {count[fate]}" for fate, (_, _, words) in slots.MARKS.items()),
            "wire, Mbit in this slot",
        ]


class TestKnobs:
    def test_each_sets_what_the_sweep_of_its_figure_sets(self) -> None:
        found = scenario_at({"xi": 2.0, "zeta": 1.2, "F": 4.0, "B": 1.5, "alpha": 0.5, "rho": 0.4})
        assert found.award_scale == (2.0, 1.0, 1.0)
        assert found.density_scale == (1.0, 1.2, 1.2)
        assert set(found.cpu_hz) == {4e9}
        assert set(found.bandwidth_hz) == {1.5e6}
        assert found.harvest_scale == (0.4,) * 3
        assert found.interference == 0.5

    @pytest.mark.parametrize("name", KNOBS)
    def test_the_default_is_calibrated_and_every_value_on_the_slider_a_scenario(self, name) -> None:
        knob = KNOBS[name]
        assert scenario_at({name: knob.default}) == scenario_at({}) == Scenario()
        for value in np.arange(knob.low, knob.high + knob.step / 2, knob.step):
            scenario_at({name: min(float(value), knob.high)})

    def test_refuses_in_one_sentence(self) -> None:
        with pytest.raises(SettingError, match="parameter = 'pi' is not allowed: it should be one of xi"):
            scenario_at({"pi": 1.0})
        with pytest.raises(SettingError, match=r"psi = 9.0 is not allowed: it should be between 1 and 4"):
            scenario_at({"psi": 9.0})


def test_the_comparison_in_words_names_the_best_the_worst_and_whom_the_change_has_hit_most() -> None:
    now, usual = (
        {name: comparing.Means(income, np.zeros(3)) for name, income in zip("ab", pair, strict=True)}
        for pair in ((10.0, 20.0), (15.0, 21.0))
    )
    assert comparing.describe_comparison(now, usual) == (
        "b earns most, 20.0 a slot, a least, 10.0. a has moved most from the defaults, by -5.0."
    )


class TestCompare:
    def test_everyone_in_the_order_of_the_legends(self, learners) -> None:
        assert list(everyone(Scenario(), learners)) == list(AGENT_COLOURS)
        assert list(everyone(Scenario())) == [name for name in AGENT_COLOURS if name in RULES]

    def test_an_agent_plays_on_from_the_warm_up_in_worlds_of_its_own(self, learners) -> None:
        """The same by hand, one world at a time: all-on, then the agent."""
        scenario = scenario_at({"rho": 0.6})
        agents = everyone(scenario, learners)
        found = compare(agents, scenario, slots=3)
        for name in ("INTO", "OLNPO", "greedy", "thrifty"):
            incomes, offloading = [], []
            for seed in comparing.WORLDS:
                system = PhysicalSystem(scenario, seed)
                rollout(make_agent("all-on", scenario), system, comparing.WARM_UP)
                record = rollout(agents[name], system, 3)
                incomes.append(record.income)
                offloading.append(record.offloading)
            assert found[name].income == pytest.approx(np.mean(incomes))
            np.testing.assert_allclose(found[name].offloading, np.mean(offloading, axis=(0, 1)))

    def test_the_bars_are_as_long_as_the_numbers(self) -> None:
        found = compare(everyone(Scenario()), Scenario())
        figure = comparing.draw_comparison(found, found, slots=2)
        left, right = figure.axes
        assert [bar.get_width() for bar in right.patches] == [one.income for one in found.values()]
        drawn = sum(bar.get_width() for bar in left.patches)
        assert drawn == pytest.approx(sum(one.offloading.sum() for one in found.values()))
        assert figure.texts[0].get_text().endswith("\nmean of 8 slots: 2 in each of 4 worlds")


class TestPlayback:
    def test_the_training_is_that_of_the_stored_run(self, training) -> None:
        table = pd.read_parquet(path_of(Run(agent="INTO"), PROFILES["paper"].folder))
        stored = table[table["metric"] == "training income"].sort_values("slot")["value"]
        np.testing.assert_array_equal(training.income.astype("float32"), stored)

    def test_counts_fit_each_other(self, training) -> None:
        offered, powered, executed = training.shares.values()
        np.testing.assert_array_equal(offered, training.offered_to.sum(axis=1) / 165)
        np.testing.assert_array_equal(executed, training.executed_on.sum(axis=1) / 165)
        assert (powered <= offered).all()
        assert (executed <= powered).all()
        assert (training.executed_on <= training.offered_to).all()

    def test_tells_the_mean_of_the_slots_around(self, training) -> None:
        told = playback.describe_training(training, 500)
        assert f", {training.income[401:501].mean():.1f} on average over the last 100 slots" in told
        offered = next(iter(training.shares.values()))[475:526].mean()
        assert f"In slots 475 to 525 the policy offers {offered:.0%} of the tasks" in told
        assert "In slots 1974 to 1999" in playback.describe_training(training, 1999)

    def test_the_curve_ends_at_the_slot_and_a_slot_that_is_not_there_is_refused(self, training) -> None:
        assert playback.draw_training(training, 700).axes[0].lines[1].get_xdata()[-1] == 700
        for slot in (-1, 2000):
            with pytest.raises(SettingError, match=f"slot = {slot} is not allowed: it should be between"):
                playback.draw_training(training, slot)


class TestWhatIf:
    @pytest.fixture
    def asked(self, state):
        return what_if.twin_of(Scenario(), state), make_agent("OLNPO", Scenario()).act(state)

    def test_a_discarded_task_loses_its_award_alone(self, asked, state) -> None:
        twin, action = asked
        device = int(np.flatnonzero(action.offload)[0])
        answer = what_if.ask(twin, action, device, what_if.DISCARD)
        gone = answer.before.outcome.income - answer.after.outcome.income
        assert gone == pytest.approx(state.award[device])
        assert answer.lost == answer.after.action.cpu_hz[device] == 0

    def test_one_more_device_makes_others_late_and_leaves_the_twin_as_it_was(self, asked) -> None:
        twin, action = asked
        before = twin.snapshot()
        answer = what_if.ask(twin, action, 33, 2)
        late = answer.before.outcome.completed & ~answer.after.outcome.completed
        assert answer.lost == late.sum() > 5
        assert f"Other tasks that are no longer paid: {answer.lost}." in what_if.describe_answer(answer)
        assert answer.refined.outcome.completed.sum() == answer.refined.action.offload.sum()
        assert twin.snapshot() == before

    def test_refuses_in_one_sentence(self, asked) -> None:
        twin, action = asked
        for asked_of, device, choice, sentence in (
            (twin, -1, 0, "device = -1 is not allowed: it should be between 0 and 164"),
            (twin, 165, 0, "device = 165 is not allowed: it should be between 0 and 164"),
            (twin, 0, -2, "choice = -2 is not allowed: it should be -1 to discard the task, or a BS"),
            (twin, 0, 3, "choice = 3 is not allowed: it should be -1 to discard the task, or a BS"),
            (DigitalTwin(Scenario(), (0, 1)), 0, 0, "it should be a twin of one world"),
        ):
            with pytest.raises(SettingError, match=sentence):
                what_if.ask(asked_of, action, device, choice)


WORDS = re.compile(r'class="mecsim-words" role="status">(.*?)</p>')
SHELLS = ("slot", "step", "what if", "compare", "playback")


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


class TestExplorers:
    @pytest.fixture
    def make(self, learners, training, monkeypatch):
        monkeypatch.setattr(widgets, "THOROUGH", 2)

        def one(name: str) -> Shell:
            if name == "playback":
                return widgets.playback_explorer(training, 500)
            explorer = getattr(widgets, f"{name.replace(' ', '_')}_explorer")
            return explorer(learners if name != "compare" else {})

        return one

    @pytest.mark.parametrize("name", SHELLS)
    def test_every_control_changes_what_is_shown(self, make, name) -> None:
        shell = make(name)
        for key, control in shell.controls.items():
            before = shell.picture.value
            control.value = moved(control)
            assert status_of(shell) == "Ready."
            assert shell.picture.value != before, key
            if isinstance(control, ipywidgets.FloatSlider | ipywidgets.IntSlider):
                assert control.continuous_update is False  # waits until it is let go
                assert re.search(r"\(.+\)$", control.description)  # tells its unit

    def test_the_buttons_of_the_steps(self, make) -> None:
        shell = make("step")
        count = shell.controls["count"]
        last = count.max
        for text, value in (("Next", 1), ("Next", 2), ("Back", 1), ("To the end", last), ("Next", last)):
            shell.buttons[text].click()
            assert count.value == value
            assert words_of(shell).startswith(f"Removal {value} of ")
        assert words_of(shell).endswith("done.")

        shell.controls["preset"].value = "printed"  # another offer has other removals
        assert count.max < last
        assert status_of(shell) == "Ready."
        assert f"of {count.max}," in words_of(shell)

    def test_the_defaults_come_back_in_one_drawing(self, make, monkeypatch) -> None:
        shell, drawn = make("compare"), []
        monkeypatch.setattr(shell, "_show", lambda **values: drawn.append(values) or (blank(1), "drawn"))
        for name in ("rho", "alpha"):
            shell.controls[name].value = moved(shell.controls[name])
        shell.buttons["Defaults"].click()
        assert len(drawn) == 3
        assert all(drawn[2][name] == knob.default for name, knob in KNOBS.items())
        assert words_of(shell) == "drawn"

    def test_the_defaults_win_over_what_the_browser_has_held_back(self, make) -> None:
        shell = make("compare")
        slider = shell.controls["rho"]
        usual = words_of(shell)
        shell.buttons["Defaults"].click()
        slider.set_state({"value": 0.4, "stamp": 1})  # as the browser sends it
        assert slider.value == KNOBS["rho"].default
        assert words_of(shell) == usual

    def test_another_device_starts_from_what_it_does(self, make, state) -> None:
        shell = make("what if")
        action = make_agent("OLNPO", Scenario()).act(state)
        for device in (1, 34, 100):
            shell.controls["device"].value = device
            assert shell.controls["choice"].value == action.placement[device - 1]
            assert "(+0.0)" in words_of(shell)

    def test_the_jumps_of_the_playback_stop_at_its_ends(self, make) -> None:
        shell = make("playback")
        shell.controls["slot"].value = 50
        shell.buttons["100 back"].click()
        assert shell.controls["slot"].value == 0
        shell.buttons["100 on"].click()
        assert words_of(shell).startswith("Slot 100:")

    def test_without_the_trained_agents_no_torch_is_imported(self) -> None:
        code = "import sys; from mecsim.explore import widgets; "
        code += "assert all('data:image/png' in make({}).picture.value for make in ("
        code += "widgets.slot_explorer, widgets.step_explorer, widgets.compare_explorer)); "
        done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=False)
        assert done.returncode == 0

    def test_starts_where_the_notebook_says(self, learners) -> None:
        assert widgets.step_explorer({}, removals=7).controls["count"].value == 7
        assert widgets.compare_explorer({}, alpha=0.2).controls["alpha"].value == 0.2
        assert "on BS-3 now" in words_of(widgets.what_if_explorer({}, device=33, bs=2))

    @pytest.mark.parametrize("server", ["voila/0.5", "jupyter"])
    def test_a_page_does_not_ask_to_run_cells(self, monkeypatch, server) -> None:
        monkeypatch.setenv("SERVER_SOFTWARE", server)
        told = widgets.how_to_use().data
        assert ("Run all cells" in told) == (server == "jupyter")
        assert "*Tab*" in told


class TestShell:
    @pytest.fixture
    def seen(self):
        """A shell whose picture fails above 1; what it says of itself at work, and whether garbage is collected."""
        seen: list[tuple[str, bool]] = []
        shells: list[Shell] = []

        def show(value: float):
            seen.append((status_of(shells[0]) if shells else BUSY, gc.isenabled()))
            if value > 1:
                raise SettingError("value = 2 is not allowed:\n it should be small.")
            return blank(1), f'{value:g} & a "b" <script>'

        shells.append(Shell({"value": slider("v, value (1)", 0, 2, 0)}, show))
        return shells[0], seen

    def test_an_error_is_one_sentence_and_the_picture_stays(self, seen) -> None:
        shell, _ = seen
        before = shell.picture.value
        shell.controls["value"].value = 2
        assert status_of(shell) == "value = 2 is not allowed: it should be small."
        assert "Traceback" not in shell.status.value
        assert shell.picture.value == before
        shell.controls["value"].value = 1
        assert status_of(shell) == "Ready."

    def test_while_it_is_at_work_it_says_so_and_collects_no_garbage(self, seen) -> None:
        shell, told = seen
        for value in (1, 2):
            shell.controls["value"].value = value
            assert gc.isenabled()
        assert told == [(BUSY, False)] * 3

    def test_what_it_shows_is_escaped_and_described(self, seen) -> None:
        shown = seen[0].picture.value
        assert "<script>" not in shown
        assert 'alt="0 &amp; a &quot;b&quot; &lt;script&gt;"' in shown

    def test_where_no_kernel_runs_the_picture_and_its_words_are_left(self, seen) -> None:
        shown, about = seen[0]._repr_mimebundle_()
        output = nbformat.v4.new_output("display_data", shown, metadata=about)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
        strip_widgets(notebook)
        data = notebook.cells[0].outputs[0].data
        assert f"base64,{data['image/png']}" in seen[0].picture.value
        assert data["text/plain"] == '0 & a "b" <script>'
        assert len(data) == 2

    def test_pictures_are_drawn_one_after_the_other(self) -> None:
        """In the threads in which JupyterLab lets a kernel answer its widgets."""
        at_work, most = [0], [0]

        def show(value: float):
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            time.sleep(0.01)  # so that another thread has its turn
            at_work[0] -= 1
            return blank(1), f"{value:g}"

        shell = Shell({"value": slider("v, value (1)", 0, 9, 0)}, show)
        threads = [Thread(target=setattr, args=(shell.controls["value"], "value", n)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1]
        assert words_of(shell) == f"{shell.controls['value'].value}"
