"""Everything that the registry finds keeps its contract; a new plug-in is picked up by itself."""

import pytest

from ilbench import registry, testing

TASKS = [
    pytest.param(name, marks=pytest.mark.slow if "brax" in entry.tags else ())
    for name, entry in registry.entries("tasks").items()
]


@pytest.mark.parametrize("name", TASKS)
def test_tasks(name):
    testing.check_env(registry.task(name))


@pytest.mark.parametrize("name", registry.entries("heads"))
def test_heads(name):
    module = registry.load("heads", name)
    for task in map(registry.task, testing.tried("heads", name)):
        testing.check_head(module.make(task.spec, module.Config()), task)


@pytest.mark.parametrize("name", registry.entries("algorithms"))
def test_algorithms(name):
    testing.check_algorithm(name, *testing.tried("algorithms", name), **testing.tried_at(name))


@pytest.mark.parametrize("name", registry.entries("measures"))
def test_measures(name):
    testing.check_measure(registry.load("measures", name))


@pytest.mark.parametrize("name", registry.entries("checks"))
def test_checks(name):
    testing.check_check(name)


@pytest.mark.parametrize("name", registry.entries("suites"))
def test_suites_resolve(name):
    from ilbench.running import runner
    from ilbench.running.plan import cells

    prepared = runner.prepare(name)
    ids = [id for plan in prepared.plans for id in map(repr, cells(plan).values())]
    assert len(set(ids)) == len(ids) > 0
