"""`tempera report`, opened in Chromium and clicked through."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

COMMAND = os.environ["TEMPERA"]

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
CHARTS = ("likelihood", "partition", "ladder", "trips", "mixing", "draws", "spectrum", "weights", "steps", "energies")


def command(*words, expect=0):
    done = subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == expect, done.stderr
    return done


@unittest.skipIf(webdriver is None or CHROMIUM is None or DRIVER is None, "Chromium or its driver is absent")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        for hidden in (8, 16):
            command("train", "--data", "digits", "--binarize", "threshold", "--hidden", hidden, "--updates", 600, "--checkpoint-every", 200,
                    "--report-every", 50, "--out", cls.dir / f"<script>{hidden}", "--quiet")
        cls.runs = [cls.dir / f"<script>{hidden}" for hidden in (16, 8)]
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=Service(DRIVER))
        cls.addClassCleanup(cls.browser.quit)

    def open(self, address, width):
        self.browser.set_window_size(width, 900)
        self.browser.get(address)
        self.wait(lambda: len(self.browser.find_elements(By.CSS_SELECTOR, ".main-svg")) >= len(CHARTS))

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain")
            time.sleep(0.1)

    def faultless(self):
        self.assertEqual([entry for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")], [])

    def traces(self, chart):
        return self.browser.execute_script("return document.getElementById(arguments[0]).data.length", chart)

    def title(self, chart):
        return self.browser.execute_script("return document.getElementById(arguments[0]).layout.xaxis.title.text", chart)

    def test_a_run_at_two_widths(self):
        page = self.dir / "one.html"
        command("report", self.runs[0], "--out", page)
        for width in (1200, 400):
            with self.subTest(width=width):
                self.open(page.as_uri(), width)
                for chart in CHARTS:
                    self.assertGreater(self.traces(chart), 0, chart)
                self.assertLessEqual(self.browser.execute_script("return document.documentElement.scrollWidth"), width)
                for image in self.browser.find_elements(By.TAG_NAME, "img"):
                    self.assertGreaterEqual(self.browser.execute_script("return arguments[0].naturalWidth", image), 600)
                    self.assertTrue(image.get_attribute("alt"))
                self.assertEqual(len(self.browser.find_elements(By.TAG_NAME, "img")), 3)
                self.browser.find_element(By.ID, "by-seconds").click()
                self.assertEqual(self.title("likelihood"), "seconds")
                self.browser.find_element(By.ID, "by-update").click()
                self.assertEqual(self.title("likelihood"), "updates")
                for summary in self.browser.find_elements(By.TAG_NAME, "summary"):
                    summary.click()
                self.assertIn("hidden = 16", self.browser.find_element(By.ID, "config").text)
                self.assertIn("tempera train --config", self.browser.find_element(By.ID, "commands").text)
                self.faultless()

    def test_runs_laid_over_each_other(self):
        page = self.dir / "two.html"
        command("report", *self.runs, "--out", page)
        self.open(page.as_uri(), 1200)
        self.assertEqual(len(self.browser.find_elements(By.CSS_SELECTOR, ".run")), 2)
        self.assertGreaterEqual(self.traces("likelihood"), 4)
        before = self.browser.find_element(By.TAG_NAME, "img").get_attribute("src")
        self.browser.execute_script("const s = document.getElementById('chosen'); s.value = '1'; s.dispatchEvent(new Event('change'))")
        self.assertNotEqual(self.browser.find_element(By.TAG_NAME, "img").get_attribute("src"), before)
        self.faultless()

    def test_what_is_wrong_stands_first(self):
        run = self.dir / "wrong"
        command("train", "--data", "digits", "--binarize", "threshold", "--hidden", 60, "--updates", 800, "--schedule", "constant", "--lr", 1,
                "--trainer", "sml", "--jump", 0, "--out", run, "--quiet")
        page = self.dir / "wrong.html"
        command("report", run, "--out", page)
        self.open(page.as_uri(), 400)
        self.assertIn("NOT MIXED", self.browser.find_element(By.CSS_SELECTOR, ".wrong").text)
        self.assertIn("nothing is known", self.browser.find_element(By.ID, "partition").text)
        shutil.rmtree(run)

    def test_the_page_grows_while_training_runs(self):
        run = self.dir / "live"
        training = subprocess.Popen([COMMAND, "train", "--data", "digits", "--binarize", "threshold", "--hidden", "30", "--updates", "1000000",
                                     "--report-every", "200", "--out", str(run), "--quiet"], stderr=subprocess.DEVNULL)
        try:
            self.wait(lambda: (run / "metrics.csv").exists() and (run / "metrics.csv").read_text().count("\n") > 2)
            with subprocess.Popen([COMMAND, "report", str(run), "--watch"], stdout=subprocess.PIPE, text=True) as server:
                try:
                    address = re.match(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
                    self.open(address, 1200)
                    # In one step, since the page may be replaced between two.
                    words = lambda: self.browser.execute_script("return document.querySelector('.run h3')?.innerText ?? ''")
                    before = words()
                    seen = []
                    self.wait(lambda: seen.append(words()) or seen[-1] not in ("", before))
                    self.assertIn("not finished", seen[-1])
                    self.faultless()
                finally:
                    server.terminate()
        finally:
            training.terminate()
            training.wait()

    def test_what_is_no_run_is_refused(self):
        self.assertIn("holds no run", command("report", self.dir, "--out", self.dir / "x.html", expect=66).stderr)


if __name__ == "__main__":
    unittest.main()
