"""The contracts of ilbench, for what this package brings."""

from ilbench import registry, testing


def test_the_algorithm():
    testing.check_algorithm("fading", *testing.tried("algorithms", "fading"), **{"fit.updates": 20})


def test_the_head():
    module = registry.load("heads", "median")
    for task in map(registry.task, testing.tried("heads", "median")):
        testing.check_head(module.make(task.spec, module.Config()), task)


def test_the_measure():
    testing.check_measure(registry.load("measures", "reach"))
