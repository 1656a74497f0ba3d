"""`TFClassifier` keeps the contract of scikit-learn, and trains what ``tfclass predict`` reads."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from tfclass import Predictor, TFClassifier
from tfclass.bundle.bundle import load_bundle
from tfclass.config import to_mapping
from tfclass.data.demo import generate_demo
from tfclass.errors import BundleError, ConfigError, InputError
from tfclass.sequences.alphabet import AMINO_ACIDS

# Small enough to be trained in a fraction of a second.
TINY = {"model.stem.channels": 4, "model.embedding_dim": 4, "training.calibration.method": "temperature"}


def tiny(**parameters):
    return TFClassifier(**{"hidden": 4, "epochs": 1, "random_state": 0, "options": TINY, "device": "cpu"} | parameters)


class OnNumbers(TFClassifier):
    """The classifier of proteins with a residue for each number, since scikit-learn checks estimators on numbers."""

    def fit(self, X, y, groups=None):
        return super().fit(self._proteins(X, reset=True), y, groups)

    def predict(self, X):
        check_is_fitted(self)
        return super().predict(self._proteins(X, reset=False))

    def predict_proba(self, X):
        check_is_fitted(self)
        return super().predict_proba(self._proteins(X, reset=False))

    def _proteins(self, X, *, reset):
        places_NF = np.clip((validate_data(self, X, reset=reset, dtype=float) * 2 + 10).round(), 0, 19).astype(int)
        return ["".join(AMINO_ACIDS[place] * 3 for place in row) for row in places_NF]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        # It is trained for one epoch.
        tags.classifier_tags.poor_score = True
        return tags


# At another threshold the prediction is not the likelier of two classes, which scikit-learn expects.
@parametrize_with_checks([OnNumbers(**tiny(threshold=0.5, validation_fraction=0.3).get_params())])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def demo():
    return generate_demo(n_clusters=60, seed=2)


@pytest.fixture(scope="module")
def fitted(demo):
    return tiny().fit(demo, demo["label"], groups=demo["cluster"])


def test_tags_say_that_it_takes_texts():
    tags = tiny().__sklearn_tags__()
    assert (tags.input_tags.string, tags.input_tags.two_d_array, tags.estimator_type) == (True, False, "classifier")


class TestFit:
    def test_whole_groups_are_held_back_and_every_class_is_on_both_sides(self, fitted, demo):
        facts = fitted.bundle_.provenance
        assert facts["n_train"] + facts["n_valid"] == len(demo)
        assert 0.05 < facts["n_valid"] / len(demo) < 0.2
        assert all(count > 0 for name in ("train", "valid") for count in facts[f"class_counts_{name}"].values())
        assert facts["corpus"]["split"] == "cluster"
        assert fitted.bundle_.trained_on_generated

    def test_the_positive_class_is_tf_whatever_the_order_of_the_labels(self, fitted, demo):
        assert fitted.classes_.tolist() == ["TF", "nonTF"]
        assert fitted.bundle_.classes == ("nonTF", "TF")
        other = tiny(pos_label="nonTF").fit(demo["sequence"], demo["label"])
        assert other.bundle_.classes == ("TF", "nonTF")

    def test_the_same_seed_gives_the_same_network_and_the_callers_random_numbers_go_on(self, fitted, demo):
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        again = clone(fitted).fit(demo, demo["label"], groups=demo["cluster"])
        assert torch.equal(torch.rand(3), expected)
        np.testing.assert_array_equal(again.predict_proba(demo), fitted.predict_proba(demo))
        other = clone(fitted).set_params(random_state=1).fit(demo, demo["label"], groups=demo["cluster"])
        assert (other.predict_proba(demo) != fitted.predict_proba(demo)).any()

    def test_parameters_are_those_of_the_configuration(self, demo):
        options = {**TINY, "model.stem.pool": 2, "training.weight_decay": 0.5}
        found = tiny(network="gru", dropout=0.4, learning_rate=0.01, options=options).fit(
            demo["sequence"], demo["label"]
        )
        model, training = to_mapping(found.bundle_.config), found.bundle_.provenance["training"]
        assert (model["encoder"], model["dropout"], model["hidden"], model["stem"]["pool"]) == ("gru", 0.4, 4, 2)
        assert (training["learning_rate"], training["weight_decay"]) == (0.01, 0.5)
        assert found.n_iter_ == len(found.history_) == 1

    def test_it_can_go_on_from_another_model(self, fitted, demo, tmp_path):
        fitted.save(tmp_path / "first")
        options = {**TINY, "training.init_from": str(tmp_path / "first"), "training.learning_rate": 1e-30}
        again = tiny(options=options).fit(demo["sequence"], demo["label"])
        weights = (each.bundle_.model.state_dict() for each in (again, fitted))
        assert all(torch.allclose(a, b) for a, b in zip(*[each.values() for each in weights], strict=True))

    def test_verbose_prints_a_line_for_each_epoch(self, demo, capsys):
        tiny(epochs=2, verbose=True).fit(demo["sequence"], demo["label"])
        assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["epoch 1", "epoch 2"]

    @pytest.mark.parametrize("labels", [[3, 1, 2], [True, False], ["é", "=cmd()", "<b>"], [0.0, 1.0]], ids=str)
    def test_labels_of_any_type_come_back(self, labels, demo):
        y = np.array(labels)[np.arange(len(demo)) % len(labels)]
        found = tiny().fit(demo["sequence"], y)
        predicted = found.predict(demo["sequence"])
        assert found.classes_.tolist() == sorted(labels)
        assert predicted.dtype == y.dtype
        assert set(predicted) <= set(labels)
        assert found.score(demo["sequence"], y) == accuracy_score(y, predicted)


class TestPredict:
    def test_probabilities_are_those_of_the_predictor(self, fitted, demo):
        rows = list(Predictor(fitted.bundle_).predict(demo))
        proba = fitted.predict_proba(demo)
        np.testing.assert_array_equal(proba[:, 0], [row.probability for row in rows])
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-12)
        assert fitted.predict(demo).tolist() == [row.label for row in rows]

    def test_the_threshold_can_be_chosen(self, fitted, demo):
        proba = fitted.predict_proba(demo)[:, 0]
        for threshold in (0.0, float(np.median(proba)), 1.0):
            chosen = pickle.loads(pickle.dumps(fitted)).set_params(threshold=threshold)  # noqa: S301
            assert (chosen.predict(demo) == "TF").tolist() == (proba >= threshold).tolist()

    def test_a_bundle_is_what_the_command_predicts_with(self, fitted, demo, tfclass, tmp_path):
        fitted.save(tmp_path / "model")
        fasta = "".join(f">{i}\n{s}\n" for i, s in zip(demo["id"], demo["sequence"], strict=True))
        done = tfclass("predict", "-", "--model", tmp_path / "model", stdin=fasta.encode())
        assert done.status == 0, done.err
        assert pd.read_csv(io.StringIO(done.out), sep="\t")["label"].tolist() == fitted.predict(demo).tolist()
        assert "generated proteins" in done.err
        assert "on the validation split" in (tmp_path / "model" / "MODEL_CARD.md").read_text().lower()

    def test_from_a_bundle_it_is_fitted(self, fitted, demo, tmp_path):
        fitted.save(tmp_path / "model")
        again = TFClassifier.from_bundle(tmp_path / "model", device="cpu")
        np.testing.assert_array_equal(again.predict_proba(demo), fitted.predict_proba(demo))
        assert again.classes_.tolist() == fitted.classes_.tolist()
        with pytest.raises(BundleError):
            TFClassifier.from_bundle("no such model")

    def test_the_shipped_model_is_a_classifier_that_can_be_saved(self, tmp_path):
        shipped = TFClassifier.from_bundle("tf-bilstm", device="cpu")
        assert shipped.predict_proba({"a": "MKVLAAGIVG"}).shape == (1, 2)
        shipped.save(tmp_path / "copy")
        assert load_bundle(tmp_path / "copy").channels.keys() == shipped.bundle_.channels.keys()


class TestScikitLearn:
    def test_cross_validation_takes_what_selects_rows(self, demo):
        for proteins in (demo["sequence"], demo["sequence"].tolist(), demo["sequence"].to_numpy(), demo):
            scores = cross_val_score(tiny(), proteins, demo["label"], cv=GroupKFold(2), groups=demo["cluster"])
            assert ((scores > 0) & (scores <= 1)).all()

    def test_groups_of_a_fold_go_with_its_proteins(self, demo):
        params = {"groups": demo["cluster"].to_numpy()}
        assert len(cross_val_score(tiny(), demo["sequence"], demo["label"], cv=2, params=params)) == 2

    def test_a_search_over_parameters_in_a_pipeline(self, demo):
        pipeline = make_pipeline(FunctionTransformer(lambda proteins: [s.lower() for s in proteins]), tiny())
        search = GridSearchCV(pipeline, {"tfclassifier__hidden": [2, 3]}, cv=2, scoring="neg_log_loss")
        search.fit(demo["sequence"].tolist(), demo["label"])
        assert search.best_params_["tfclassifier__hidden"] in (2, 3)
        assert search.predict_proba(["MKVLA"]).shape == (1, 2)

    def test_parameters_and_a_pickle_survive(self, fitted, demo):
        again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
        np.testing.assert_array_equal(again.predict_proba(demo), fitted.predict_proba(demo))
        assert clone(fitted).get_params() == fitted.get_params()
        assert not hasattr(clone(fitted), "bundle_")
        with pytest.raises(NotFittedError):
            clone(fitted).predict(["MKV"])
        with pytest.raises(NotFittedError):
            clone(fitted).save("nowhere")


class TestRefused:
    @pytest.mark.parametrize(
        ("parameters", "said"),
        [
            ({"network": "transformer"}, "network: found 'transformer'; expected one of bilstm,"),
            ({"epochs": 0}, "training.epochs: found 0; expected"),
            ({"validation_fraction": 0.5}, "split.valid: found 0.5; expected less than 0.5"),
            ({"options": {"model.hiden": 3}}, "model.hiden: unknown option; did you mean hidden?"),
            ({"options": {"model": 3}}, "model"),
            ({"options": {"epochs": 3}}, "epochs: unknown option"),
            ({"options": {"model.domains": True}}, "model.families, model.domains: found heads to train"),
            ({"device": "gpu"}, "runtime.device: found 'gpu'; expected"),
            (
                {"options": {"training.calibration.method": "none", "model.stem.kernel": 2}},
                "model.stem.kernel: found 2",
            ),
        ],
        ids=str,
    )
    def test_a_parameter_that_is_not_allowed(self, parameters, said, demo):
        with pytest.raises(ConfigError) as caught:
            tiny(**parameters).fit(demo["sequence"], demo["label"])
        assert str(caught.value).startswith(said)

    @pytest.mark.parametrize(
        ("proteins", "labels", "said"),
        [
            (["MKV", "M1"], ["a", "b"], "X[1] ('1'): found a sequence that is illegal '1' at 2"),
            (["MKV", ""], ["a", "b"], "X[1] ('1'): found a sequence that is empty"),
            ([], [], "X: found no protein"),
            (["MKV", "MA"], ["a"], "y: found 1 labels for 2 proteins"),
            (["MKV", "MA"], ["a", "a"], "y: found one class only ('a')"),
            (["MKV", "MA"], ["a", ""], "y: found the label ''"),
            (["MKV", "MA"], ["a", "b\n"], "y: found the label 'b\\n'"),
            (["MKV", "MA"], None, "TFClassifier requires y to be passed"),
            (["MKV", "MA", "MA"], ["a", "b", "b"], "validation: found no protein of class"),
        ],
        ids=str,
    )
    def test_proteins_and_labels_that_cannot_be_used(self, proteins, labels, said):
        with pytest.raises(InputError) as caught:
            tiny().fit(proteins, labels)
        assert str(caught.value).startswith(said)

    def test_groups_and_positive_labels_that_do_not_fit(self, demo):
        with pytest.raises(InputError, match="groups: found 2 for"):
            tiny().fit(demo["sequence"], demo["label"], groups=[1, 2])
        with pytest.raises(InputError, match="pos_label: found 'yes'; expected 'TF' or 'nonTF'"):
            tiny(pos_label="yes").fit(demo["sequence"], demo["label"])
        with pytest.raises(ConfigError):
            tiny(threshold="fdr=2").fit(demo["sequence"], demo["label"]).predict(demo["sequence"])
