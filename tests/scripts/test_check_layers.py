"""scripts/check_layers.py sees offences: each is planted in a tree that is otherwise clean."""

import importlib.util
import pathlib
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("check_layers", ROOT / "scripts" / "check_layers.py")
check_layers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_layers)


class Layers(unittest.TestCase):
    def found(self, path, line, models=()):
        """Offences of a tree of one line, with a list of models where there are any."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            texts = {path: line + "\n"}
            if models:
                texts[check_layers.MODEL_LIST] = "".join(f"  F({name})  \\\n" for name in models)
            for name, text in texts.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return list(check_layers.offences(root))

    def test_the_project_is_clean(self):
        self.assertEqual(list(check_layers.offences(ROOT)), [])

    def test_planted_offences(self):
        for path, line in (("src/models/a.cpp", "#include <hdf5.h>"),
                           ("src/models/a.cpp", "#include <hdf5/serial/hdf5.h>"),
                           ("src/models/a.cpp", "#include <thread>"),
                           ("src/models/a.cpp", '#include "../../apps/run.hpp"'),
                           ("src/models/a.cpp", '#include "tempera/parallel/tasks.hpp"'),
                           ("include/tempera/core/a.hpp", '#include "tempera/kernels/bits.hpp"'),
                           ("src/io/a.cpp", '#include "tempera/models/rbm.hpp"'),
                           ("src/mcmc/a.cpp", '#include "tempera/train/trainer.hpp"'),
                           ("src/mcmc/a.cpp", "#include <tbb/parallel_for.h>"),
                           ("src/train/a.cpp", "#include <iostream>"),
                           ("src/train/a.cpp", "#include <toml.hpp>"),
                           ("src/core/a.cpp", "#include <zip.h>"),
                           ("src/models/a.cpp", '#include "tempera/io/hdf5.hpp"'),
                           ("src/train/a.cpp", '#include "tempera/services/likelihood.hpp"'),
                           ("src/io/a.cpp", '#include "tempera/services/model_io.hpp"'),
                           ("src/services/a.cpp", "#include <iostream>"),
                           ("src/services/a.cpp", "#include <CLI/CLI.hpp>"),
                           ("src/train/a.cpp", "#include <nlohmann/json.hpp>"),
                           ("include/tempera/services/a.hpp", "#include <csignal>"),
                           ("src/services/a.cpp", "#include <signal.h>"),
                           ("src/services/a.cpp", "#include <hdf5.h>"),
                           ("apps/a.cpp", "#include <hdf5.h>")):
            with self.subTest(path=path, line=line):
                self.assertEqual(len(self.found(path, line)), 1)

    def test_what_is_allowed_passes(self):
        for path, line in (("src/io/a.cpp", "#include <hdf5.h>"),
                           ("apps/a.cpp", '#include "tempera/io/hdf5.hpp"'),
                           ("src/train/a.cpp", '#include "tempera/mcmc/population.hpp"'),
                           ("src/services/a.cpp", '#include "tempera/train/tracker.hpp"'),
                           ("src/services/a.cpp", '#include "tempera/io/hdf5.hpp"'),
                           ("src/services/a.cpp", '#include "estimator.hpp"'),
                           ("apps/a.cpp", '#include "tempera/services/likelihood.hpp"')):
            self.assertEqual(self.found(path, line), [])

    def test_kinds_are_named_in_models_alone(self):
        models = ("PottsRbm", "Dbm")
        for line in ('if (kind == "ssrbm") return;', 'f("slabs", "of bilinear-ssrbm, as many");',
                     'const char* text = R"(a dbm)";', "using M = PottsRbm;", "std::is_same_v<M, Dbm>"):
            for path in ("src/train/a.cpp", "include/tempera/mcmc/a.hpp", "apps/a.cpp"):
                with self.subTest(path=path, line=line):
                    self.assertEqual(len(self.found(path, line, models)), 1)
            self.assertEqual(self.found("src/models/a.cpp", line, models), [])
        for line in ("// a PottsRbm, or \"ssrbm\"", "/* Dbm\n is \"dbm\" */", "MyDbmReader reader;",
                     'read("rbms", "BernoulliRBM", "ssrbm_like", "my.dbm_file");',
                     '#include "tempera/models/dbm.hpp"', "const char c = '\"';  // Dbm"):
            with self.subTest(line=line):
                self.assertEqual(self.found("src/train/a.cpp", line, models), [])


if __name__ == "__main__":
    unittest.main()
