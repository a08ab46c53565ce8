"""scikit-learn's grid search over two nodes. Runs where joblib and scikit-learn are: ``tox -e joblib``."""

from __future__ import annotations

import importlib.util
import unittest

from tests.functional.daemons import Daemons

MISSING = [name for name in ("joblib", "sklearn") if importlib.util.find_spec(name) is None]

SEARCH = """
import os, sys
os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded, here and in jobs
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
import dispytw

def where(n):
    return n * n, os.environ["DISPYTW_COMPUTATION"], dispy_node_name

def fails(n):
    raise LookupError(n)

if __name__ == "__main__":
    nodes = sys.argv[1:]
    dispytw.joblib.register()
    X, y = load_iris(return_X_y=True)
    grid = {"C": [0.001, 1.0, 10.0], "fit_intercept": [True, False]}
    here = GridSearchCV(LogisticRegression(max_iter=100), grid, cv=3).fit(X, y)
    with joblib.parallel_config(backend="dispytw", nodes=nodes):
        search = GridSearchCV(LogisticRegression(max_iter=100), grid, cv=3, pre_dispatch="all").fit(X, y)
        assert search.best_params_ == here.best_params_, (search.best_params_, here.best_params_)
        assert (search.cv_results_["mean_test_score"] == here.cv_results_["mean_test_score"]).all()
        assert joblib.effective_n_jobs(-1) == 2, joblib.effective_n_jobs(-1)
        found = joblib.Parallel(batch_size=1)(joblib.delayed(where)(n) for n in range(40))
        assert [each[0] for each in found] == [n * n for n in range(40)]
        assert {each[2] for each in found} == {"left", "right"}, {each[2] for each in found}
        try:
            joblib.Parallel()(joblib.delayed(fails)(n) for n in range(5))
        except LookupError as error:
            assert "in fails" in str(error.__cause__)
        else:
            raise AssertionError
        generator = joblib.Parallel(return_as="generator")(joblib.delayed(abs)(-n) for n in range(20))
        assert list(generator) == list(range(20))
    print("found", search.best_params_)
"""


@unittest.skipIf(MISSING, f"{' and '.join(MISSING)} not installed here; tox -e joblib has all")
class GridSearch(unittest.TestCase):
    """One program."""

    def test_over_two_nodes(self) -> None:
        """The same parameters and scores as on one machine, and both nodes have worked; errors and generators as joblib has them."""
        daemons = Daemons(self, seconds=120)
        nodes = [daemons.node("--cpus", "1", "--name", name) for name in ("left", "right")]
        done = daemons.program(SEARCH, *(node.address for node in nodes))
        self.assertEqual(0, done.code, done)
        self.assertIn("found {'C': 1.0", done.out)
