"""From `helm install` of the release before to `helm uninstall`, across the loss of a cluster.

It begins with a cluster of its own and leaves one without an operator, so it comes last.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.story import NAMESPACE, OPERATOR_NAMESPACE, Story, commands

pytestmark = [pytest.mark.cluster, pytest.mark.last, pytest.mark.timeout(1500)]

WAIT = f"kubectl wait etenant/contoso ad/contoso dsync/contoso -n {NAMESPACE}"
STAYS = re.compile(r"customresourcedefinitions|validatingadmissionpolic")
"""What is kept of a release: the chart says so of it."""
LEAVERS = 12
"""More than a fifth of the company."""


def test_from_the_first_day_to_the_last(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.begin_cluster()
    story.install_earlier()
    story.begin_cloud()
    story.begin_directory()
    story.shell(f"kubectl apply -k examples/ && {WAIT} --for=condition=Ready --timeout=180s")
    story.until("the first sync", lambda: story.condition("Synchronized").get("status") == "True")
    filled = story.holdings()
    assert len(filled) > 60

    upgraded_with_a_run_under_way(story)
    one_change_is_one_change(story)
    many_deletions_are_braked_and_approved_through_git(story)
    gone_with_its_node_and_back(story)
    lost_with_its_cluster_and_restored(story)
    removed_without_a_trace(story)


def upgraded_with_a_run_under_way(story: Story) -> None:
    before = story.sync()["status"]["objects"]
    exports = story.exports()
    story.slow_exports(12)
    story.change_directory("demo")
    story.until("an export of the earlier release", lambda: story.exports() > exports)
    (under_way,) = [story.sync()["status"]["activeRun"]["name"]]

    upgrade = commands("operations", "Upgrading").strip()
    story.shell(f"{upgrade} --set=image.tag=dev")
    story.quick_exports()

    run = story.until("its run to end", lambda: ended(story, under_way))
    assert run["status"]["phase"] == "Succeeded"
    assert image_of(story, under_way).endswith(":0.1.0")
    held = story.holdings()
    # the first run of the new release brings the state up, reads everything, and adds what this
    # release lets flow in addition
    after = story.until("a run of the new release", lambda: run_after(story, under_way))
    assert after["status"]["phase"] == "Succeeded"
    assert {what for counts in changes_of(after).values() for what in counts} == {"update"}
    now = story.holdings()
    assert now.keys() == held.keys()
    # its default flow of country takes the name, as Entra Connect does; nothing else is another
    assert {key for each in differences(held, now).values() for key in each} == {"country"}
    sent = story.exports()
    again = story.until("the next run", lambda: run_after(story, after["metadata"]["name"]))
    assert (changes_of(again), story.exports()) == ({}, sent)
    counts = story.sync()["status"]["objects"]
    assert (counts["users"], counts["groups"]) == (before["users"] - 1, before["groups"])


def one_change_is_one_change(story: Story) -> None:
    before = story.runs()[-1]["metadata"]["name"]
    story.change_directory("delete-users", "1")

    run = story.until("a run that changes something", lambda: changing_run(story, before))

    assert run["status"]["scope"] == "Delta"
    only_one_left(run)


def many_deletions_are_braked_and_approved_through_git(story: Story) -> None:
    repository = story.folder / "syncs"
    story.shell(f"cp -rL examples {repository} && cd {repository} && git init -q -b main")
    commit(story, repository, "what runs today")
    held = story.holdings()
    story.change_directory("delete-users", str(LEAVERS))
    story.shell(f"kubectl wait dsync/contoso -n {NAMESPACE} --for=condition=PlanBlocked")
    assert story.holdings() == held

    plan = story.sync()["status"]["blockedPlan"]
    assert plan["users"]["delete"] == LEAVERS
    file = repository / "contoso" / "sync.yaml"
    file.write_text(f"{file.read_text()}  approvedPlan: {plan['digest']}\n")
    commit(story, repository, "these twelve have left")
    # the cluster follows the repository, not the folder somebody works in
    story.shell(f"git clone -q {repository} reviewed && kubectl apply -k reviewed")

    story.until("the deletions", lambda: "PlanBlocked" not in types_of(story.sync()))
    left = set(held) - set(story.holdings())
    assert len(left) == LEAVERS
    story.shell(f"kubectl wait dsync/contoso -n {NAMESPACE} --for=condition=Ready --timeout=120s")


def gone_with_its_node_and_back(story: Story) -> None:
    held, exports = story.holdings(), story.exports()
    users = story.sync()["status"]["objects"]["users"]
    # pods of a node that is gone are collected after a minute; the answer is to come later
    story.slow_exports(150)
    story.change_directory("delete-users", "1")
    story.until("an export", lambda: story.exports() > exports)
    under_way = story.sync()["status"]["activeRun"]["name"]
    pods = story.pods()

    story.kubectl.run("delete", "node", "local")
    story.until("the pods to go", lambda: not story.pods() & pods)
    assert not ended(story, under_way)
    story.rejoin()
    story.quick_exports()

    run = story.until("the run to end", lambda: ended(story, under_way))
    assert run["status"]["phase"] == "Succeeded"
    # the deletion was done before the first pod went, and nothing is done twice
    assert story.exports() == 0, "the cloud, whose pod is new, was written to"
    assert len(held.keys() - story.holdings().keys()) == 1
    assert story.sync()["status"]["objects"]["users"] == users - 1
    story.shell(f"{WAIT} --for=condition=Ready --timeout=120s")


def lost_with_its_cluster_and_restored(story: Story) -> None:
    story.shell(commands("operations", "What to back up"))
    held, cloud, before = story.holdings(), story.take_cloud(), story.sync()["status"]
    assert before["scopes"]

    story.begin_cluster()
    story.install_with_cloud()
    story.begin_directory()
    story.put_cloud(cloud)
    assert story.holdings() == held
    story.shell(commands("operations", "Restoring"))

    run = story.until("a run of the restored sync", lambda: run_after(story, ""))
    assert (run["status"]["phase"], changes_of(run)) == ("Succeeded", {})
    assert (run["status"]["scope"], story.exports()) == ("Full", 0)
    assert story.holdings() == held
    restored = story.sync()["status"]
    assert restored["objects"] == before["objects"]
    assert restored["scopes"] == before["scopes"]
    story.shell(f"{WAIT} --for=condition=Ready --timeout=120s")

    story.change_directory("delete-users", "1")
    after = story.until(
        "a run that changes something", lambda: changing_run(story, run["metadata"]["name"])
    )
    only_one_left(after)


def removed_without_a_trace(story: Story) -> None:
    before = story.definitions()
    story.shell(commands("operations", "Uninstalling"))

    of_release = story.everything_of("app.kubernetes.io/instance=entrasync")
    assert {each for each in of_release if not STAYS.match(each)} == set()
    # what people wrote is theirs, and so are the definitions it needs
    assert story.sync()["spec"]
    assert set(story.definitions()) < set(before)

    story.shell(commands("ownership", "Uninstalling", -1))
    assert story.definitions() == []
    for label in ("instance=entrasync", "managed-by=entrasync", "part-of=entrasync"):
        assert story.everything_of(f"app.kubernetes.io/{label}") == set()
    for namespace in (NAMESPACE, OPERATOR_NAMESPACE):
        left = story.kubectl.get("pods,jobs,leases,pvc,deployments,services", "-n", namespace)
        assert [each["metadata"]["name"] for each in left["items"]] == []


# --- reading -----------------------------------------------------------------------------------


def commit(story: Story, repository: Path, message: str) -> None:
    who = "-c user.name=Anna -c user.email=anna@contoso.test"
    story.shell(f"git add -A && git {who} commit -q -m {json.dumps(message)}", repository)


def ended(story: Story, name: str) -> dict[str, Any] | None:
    return next((run for run in story.runs() if run["metadata"]["name"] == name), None)


def run_after(story: Story, name: str) -> dict[str, Any] | None:
    """The first run that ended after another one; the first of all where none is named."""
    runs = story.runs()
    names = [run["metadata"]["name"] for run in runs]
    later = runs[names.index(name) + 1 :] if name in names else runs
    return later[0] if later else None


def changing_run(story: Story, name: str) -> dict[str, Any] | None:
    """The first run after another one that changed something."""
    while run := run_after(story, name):
        if changes_of(run):
            return run
        name = run["metadata"]["name"]
    return None


def changes_of(run: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The changes of a run, what is nothing left out."""
    return {
        kind: {what: number for what, number in counts.items() if number}
        for kind, counts in run["status"].get("changes", {}).items()
        if any(counts.values())
    }


def only_one_left(run: dict[str, Any]) -> None:
    """One user was deleted; whose manager it was has none now."""
    changes = changes_of(run)
    assert (set(changes), changes["users"].pop("delete")) == ({"users"}, 1)
    assert set(changes["users"]) <= {"update"}


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What objects had and now have no more, or have otherwise: before and after, by property."""
    found = {}
    for anchor, was in before.items():
        one, other = (
            each if isinstance(each, dict) else {"members": each} for each in (was, after[anchor])
        )
        changed = {key: (one[key], other.get(key)) for key in one if one[key] != other.get(key)}
        if changed:
            found[anchor] = changed
    return found


def types_of(sync: dict[str, Any]) -> set[str]:
    return {each["type"] for each in sync["status"]["conditions"] if each["status"] == "True"}


def image_of(story: Story, run: str) -> str:
    job = story.kubectl.get("job", run, "-n", NAMESPACE)
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])
