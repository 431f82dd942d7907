"""Ignore rules and what they leave of some files: shown by hand, and tested against our rules and a real engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`paths` are the files of a context, `kept` what `COPY . /` copies of them."""

    name: str
    rules: bytes
    paths: tuple[str, ...]
    kept: tuple[str, ...]


def _row(name: str, rules: str | bytes, kept: str, left_out: str) -> Row:
    """Paths are separated by commas."""
    data = rules if isinstance(rules, bytes) else rules.encode()
    keep, leave = (tuple(path for path in text.split(",") if path) for text in (kept, left_out))
    return Row(name, data, keep + leave, keep)


TABLE = (
    _row("no rules", "", "a,b/c", ""),
    _row("only a comment", "# a\n", "a,b/c", ""),
    _row("a name", "a\n", "b,c/a,ab", "a"),
    _row("a name is a whole directory", "a\n", "b/a/x", "a/b/c,a/d"),
    _row("case counts", "readme\n", "README,Readme", "readme"),
    _row("star stays in its directory", "*.md\n", "d/b.md,a.mdx", "a.md,.md"),
    _row("star matches leading dots", "*\n", "", ".a,b,.c/d"),
    _row("question mark", "a?\n", "a,abc,b/ab1", "ab,aé"),
    _row("last match wins", "*.md\n!README.md\n", "README.md,b.txt", "a.md"),
    _row("last match wins, reversed", "!README.md\n*.md\n", "b.txt", "a.md,README.md"),
    _row("a match of a parent counts", "a\n!a/b\n", "a/b/c,a/b/d", "a/c,a/d/b"),
    _row("exceptions nest", "a\n!a/b\na/b/c\n!a/b/c/d\n", "a/b/x,a/b/c/d", "a/x,a/b/c/x"),
    _row("an exception below a wildcard", "*\n!a/b/c.txt\n", "a/b/c.txt", "a/b/d,a/c.txt,c.txt"),
    _row("an exception of a directory", "**\n!a\n", "a/b,a/c/d", "b/a/x,c"),
    _row("an exception with double star", "**\n!**/keep\n", "keep,a/keep,a/b/keep/x", "a/b/x,keeper"),
    _row("an exception of what is inside", "a\n!a/*/k\n", "a/b/k,a/c/k", "a/k,a/b/c/k,a/b/x"),
    _row("an exception takes a later pattern back", "a/*\n!a/b\na/*/c\n", "a/b/d", "a/b/c,a/c/d,a/x"),
    _row("an exception with no effect is forgotten", "*/b\n!a\n", "a/c", "a/b"),
    _row("an exception of an exception's text", "a\n!!a\n", "!b", "a"),
    _row("double star in front", "**/z\n", "a/zz,a/x", "z,a/z,a/b/z,c/z/x"),
    _row("double star in the middle", "a/**/z\n", "z,b/a/z,a/x", "a/z,a/b/z,a/b/c/z"),
    _row("double star at the end", "a/**\n", "b/a/c,ab", "a/b,a/c/d"),
    _row("double star at the end of a name", "a**\n", "b,ba", "a,ab,a1/c"),
    _row("double star inside a name", "a**b\n", "axb,a/x/c", "ab,ax/b,a/y/b"),
    _row("double star before a name", "**b\n", "abc,d/c", "b,ab,a/cb"),
    _row("double star alone", "**\n", "", "a,b/c"),
    _row("double star and star", "**/*\n", "", "a,b/c"),
    _row("three stars", "***\n", "", "a,b/c"),
    _row("double star around", "**/a/**\n", "d,c/a", "a/x,b/a/y/z"),
    _row("double star and extension", "**/*.pyc\n", "a.py,b/c.py", "a.pyc,b/.pyc,b/c/d.pyc"),
    _row("class", "[ab]\n", "c,ab,[ab]", "a,b"),
    _row("class negated by a caret", "[^b]\n", "b,aa", "a,c"),
    _row("class not negated by an exclamation mark", "[!b]\n", "a,c", "b,!"),
    _row("class range", "x[0-9]y\n", "xay,x10y", "x0y,x9y"),
    _row("a negated class matches a slash", "a[^b]c\n", "abc,a/bc", "axc,a/c"),
    _row("class with a bracket", "[\\]x]\n", "a", "],x"),
    _row("class with a star", "[a*b]\n", "a,b,*", "b],[b],^ab]"),
    _row("named class", "[[:digit:]]x\n", "ax,:x", "1x,9x"),
    _row("class with a shorthand", "[\\d_]\n", "d,a", "1,_"),
    _row("escaped star", "\\*\n", "a,ab", "*"),
    _row("escaped exclamation mark", "\\!a\n", "a", "!a"),
    _row("escaped hash sign", "\\#a\n", "a", "#a"),
    _row("escaped letters are Go's", "\\d\n", "d,\\d", "1,5"),
    _row("hexadecimal escape", "\\x61b\n", "b,x61b", "ab"),
    _row("octal escape", "\\141b\n", "b,141b", "ab"),
    _row("word edge", "a\\b*\n", "ab,b", "a,a-b,a.txt"),
    _row("word edges and many stars", "**/a\\b*/*/x*\n", "a/x/y,ab/c/x", "a/b/x,c/a-/d/xy"),
    _row("quotation", "\\Qa*\\Eb\n", "ab,aab", "a[^/]*b"),
    _row("quotation without an end", "\\Qab\n", "ab,xab", "ab$,ab$c"),
    _row("a bar is an alternative", "*a|b\n", "c,d/c", "a|c,xa,xa1,b,xb,cb/d"),
    _row("a bar without wildcards is a bar", "a|b\n", "a,b", "a|b"),
    _row("braces repeat", "a{2}*\n", "a,ab,a{2}", "aa,aab"),
    _row("braces with a range", "[ab]{1,2}c\n", "c,abac", "ac,abc"),
    _row("braces that do not count are braces", "*.{ab}\n", "x.a,x.ab", "x.{ab}"),
    _row("a caret is an anchor", "b^*\n^*a\n", "b^c,^b", "a,^a"),
    _row("a caret without wildcards is a caret", "^a\n", "a", "^a"),
    _row("a backslash at the end", "x*\\\n", "x,xy", "x$,xy$z"),
    _row("dots and pluses are themselves", "a.b+(c)$\n", "axb+(c)$,a.bb(c)$", "a.b+(c)$"),
    _row("byte order mark", b"\xef\xbb\xbfa\n", "b", "a"),
    _row("byte order mark before a comment", b"\xef\xbb\xbf#a\nb\n", "a,#a", "b"),
    _row("byte order mark in the second line", "x\n\ufeffa\n", "a", "\ufeffa,x"),
    _row("byte order mark before a wildcard", "x\n\ufeffa*\n", "\ufeffa", "a,ab,x"),
    _row("comment in the first column only", "#a\n #b\n\t# c\n", "#a,a", "#b,# c"),
    _row("white space around", "  a b \t\n\u3000c\u3000\n", "a,b", "a b,c"),
    _row("white space after an exclamation mark", "*\n! a\n", "a", "b, b"),
    _row("white space after a slash", "/ a\n", " a", "a"),
    _row("carriage returns", "a\r\n!a/b\r\nc\r\n", "a/b,d", "a/c,c"),
    _row("trailing slash", "a/\n", "b/a", "a"),
    _row("leading slash", "/a\n//b\n", "x/a,x/b", "a,b"),
    _row("unclean paths", "./a\nb//c\nd/../e\nf/.\n", "b/d,d", "a,b/c,e,f/x"),
    _row("nothing to see", ".\n/\n..\n./\n../a\n", "a,b/a", ""),
    _row("a slash before an exclamation mark", "*\n/!a\n", "a", "b,!a"),
    _row("an exclamation mark and a slash", "*\n!/a\n", "a", "b"),
    _row("a bad exception that is never compared", "![z-a]\n", "a,b", ""),
    _row("a bad pattern behind what matches all", "**\n[z-a]\n", "", "a,b/c"),
    _row("unclosed class in an exception never compared", "!x*[b\n", "a,b", ""),
    _row("a line break in a directory's name", "**/*.txt\n", "d\n1/b.txt,a.md", "d1/b.txt,c.txt"),
    _row("a line break, and no expression", "**/b.txt\n", "d\n1/c.txt", "d\n1/b.txt"),
    _row("bytes that are not UTF-8", b"*a\xffb\n", "aéb,ab", "a\ufffdb,xa\ufffdb"),
    _row("other scripts", "é*\n日/**\n", "e,日本/x", "é,éa,日/x"),
)
