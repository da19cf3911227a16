"""Formulas are cited as docs/mathematics/<page>.md N.M: every page and section that is cited exists, and so does every
section that a page links to. Every source that a page names exists. Each kind of fault is planted in a tree that is otherwise clean."""

import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("src", "include", "apps", "tests", "scripts", "docs", "cmake")
MATHEMATICS = "docs/mathematics"
# A page, and after it the sections: "2.2", "2.1 and 2.3", "2.1, 2.2", "2.1 to 2.9".
CITATION = re.compile(MATHEMATICS + r"/([\w-]+\.md)((?:(?:,? and |,? to |, | )\d+\.\d+)*)")
HEADING = re.compile(r"^###? (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s#]*\.md)?(?:#([^)\s]*))?\)")
# A source that a page names.
SOURCE = re.compile(r"`((?:src|include|apps|scripts|tests)/[\w/.-]+)`")
# Pages that the project does not have. In pieces, so that this file is none that names them.
STRANGERS = re.compile("algorithms" + r"\.md|natural-" + r"gradient\.md|\bDES" + r"IGN\b")


def unwrapped(text):
    """Comments that go on in the next line, as one line."""
    return re.sub(r"\s*\n\s*(?:///?|#)?[ \t]*", " ", text)


def anchor(heading):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def texts(root):
    files = [f for f in root.iterdir() if f.is_file() and f.suffix in (".md", ".txt")]
    for folder in FOLDERS:
        files += (f for f in (root / folder).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    for file in sorted(files):
        try:
            yield file, file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            pass  # no text


def offences(root):
    pages = {f.name: HEADING.findall(f.read_text(encoding="utf-8")) for f in (root / MATHEMATICS).glob("*.md")}
    sections = {page: {h.split()[0] for h in headings} for page, headings in pages.items()}
    for file, text in texts(root):
        where = file.relative_to(root)
        for match in STRANGERS.finditer(text):
            yield f"{where}: cites {match[0]}"
        for page, numbers in CITATION.findall(unwrapped(text)):
            if page not in pages:
                yield f"{where}: no page {page}"
                continue
            for number in re.findall(r"\d+\.\d+", numbers):
                if number not in sections[page]:
                    yield f"{where}: {page} has no section {number}"
        if file.suffix != ".md":
            continue
        for source in SOURCE.findall(text):
            if not (root / source).exists():
                yield f"{where}: no file {source}"
        for page, fragment in LINK.findall(text):
            target = (file.parent / page).resolve() if page else file
            if target.parent != (root / MATHEMATICS).resolve():
                continue
            if target.name not in pages:
                yield f"{where}: no page {page}"
            elif fragment and fragment not in map(anchor, pages[target.name]):
                yield f"{where}: no section {page}#{fragment}"


class Citations(unittest.TestCase):
    def found(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            page = root / MATHEMATICS / "waves.md"
            page.parent.mkdir(parents=True)
            page.write_text("# 7 Waves\n\n### 7.1 Long\n\n### 7.2 Short ones\n")
            for name, text in files.items():
                path = root / name.replace("__", "/").replace("_md", ".md")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(offences(root))

    def test_the_project_is_clean(self):
        self.assertEqual(list(offences(ROOT)), [])

    def test_the_code_cites_sections(self):
        cited = {number for _, text in texts(ROOT) for _, numbers in CITATION.findall(unwrapped(text))
                 for number in re.findall(r"\d+\.\d+", numbers)}
        self.assertGreater(len(cited), 20)

    def test_sections_are_numbered_one_after_another(self):
        for page in sorted((ROOT / MATHEMATICS).glob("[!R]*.md")):
            text = page.read_text(encoding="utf-8")
            chapter = re.match(r"# (\d+) ", text)[1]
            numbers = re.findall(r"^### (\S+)", text, re.MULTILINE)
            self.assertEqual(numbers, [f"{chapter}.{k}" for k in range(1, len(numbers) + 1)], page.name)

    def test_planted_offences(self):
        cite = "docs/" + "mathematics/"
        for text in ("// See " + cite + "waves.md 7.3.",
                     "// See " + cite + "waves.md 7.1 to 7.9.",
                     "// See " + cite + "waves.md 7.1 and 7.4.",
                     "/// A long comment (" + cite + "waves.md\n/// 7.5).",
                     "// See " + cite + "tides.md 7.1.",
                     "// See algo" + "rithms.md 1a.",
                     "// See natural-" + "gradient.md 5.",
                     "# DES" + "IGN section 1"):
            with self.subTest(text=text):
                self.assertEqual(len(self.found(src__a=text)), 1)
        for link in ("[a](mathematics/waves.md#73-none)", "[a](mathematics/tides.md)"):
            with self.subTest(link=link):
                self.assertEqual(len(self.found(docs__a_md=link)), 1)
        self.assertEqual(len(self.found(docs__mathematics__b_md="[a](waves.md#72-short)")), 1)
        self.assertEqual(len(self.found(docs__a_md="See `src/" + "b.cpp` and `src/" + "c.cpp`.")), 2)

    def test_what_is_right_passes(self):
        cite = "docs/" + "mathematics/"
        self.assertEqual(self.found(src__a="// " + cite + "waves.md 7.1 and 7.2. 9.9 of it,\n// " + cite + "waves.md, 8.",
                                    docs__a_md="[a](mathematics/waves.md#72-short-ones) [b](other.md#there)"), [])


if __name__ == "__main__":
    unittest.main()
