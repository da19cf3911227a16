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
    def found(self, path, line):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(line + "\n")
            return list(check_layers.offences(pathlib.Path(folder)))

    def test_the_project_is_clean(self):
        self.assertEqual(list(check_layers.offences(ROOT)), [])

    def test_planted_offences(self):
        for path, line in (("src/models/a.cpp", "#include <hdf5.h>"),
                           ("src/models/a.cpp", "#include <hdf5/serial/hdf5.h>"),
                           ("src/models/a.cpp", "#include <thread>"),
                           ("src/models/a.cpp", '#include "../../apps/run.hpp"'),
                           ("src/models/a.cpp", '#include "tempera/parallel/tasks.hpp"'),
                           ("include/tempera/core/a.hpp", '#include "tempera/kernels/bits.hpp"'),
                           ("src/io/a.cpp", '#include "tempera/models/bernoulli_rbm.hpp"'),
                           ("src/mcmc/a.cpp", '#include "tempera/train/trainer.hpp"'),
                           ("src/mcmc/a.cpp", "#include <tbb/parallel_for.h>"),
                           ("src/train/a.cpp", "#include <iostream>"),
                           ("src/train/a.cpp", "#include <toml.hpp>"),
                           ("src/core/a.cpp", "#include <zip.h>"),
                           ("apps/a.cpp", "#include <hdf5.h>")):
            with self.subTest(path=path, line=line):
                self.assertEqual(len(self.found(path, line)), 1)

    def test_what_is_allowed_passes(self):
        for path, line in (("src/io/a.cpp", "#include <hdf5.h>"),
                           ("apps/a.cpp", '#include "tempera/io/hdf5.hpp"'),
                           ("src/train/a.cpp", '#include "tempera/mcmc/chains.hpp"')):
            self.assertEqual(self.found(path, line), [])


if __name__ == "__main__":
    unittest.main()
