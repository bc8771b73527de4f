#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the manual from what is documented where it is declared, or checks that it is up to date.

    tools/reference.py WEIR            write docs/reference, docs/man and docs/options.md
    tools/reference.py WEIR --check    say what differs, and which public function is not documented

From the public headers: a page of docs/reference for each, and manual pages of section 3, one for each
of a header's sections and one for the header. From what the program WEIR says of itself: weir(1), of its
configuration: docs/options.md and weir.yaml(5), and of its admin interface: docs/reference/admin.md.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import headers

ROOT = headers.ROOT
REFERENCE, MAN = ROOT / "docs" / "reference", ROOT / "docs" / "man"
WRITTEN = "Written by tools/reference.py: `make reference`."
# What the page of a header's section is called; one that is not here: its header's name and its title's.
PAGES = {("weir.h", "words"): "weir_words", ("weir.h", "ids and keys"): "weir_key",
         ("weir.h", "the connector: one protocol"): "weir_connector", ("weir.h", "the engine"): "weir_engine",
         ("weir.h", "pools"): "weir_pool", ("weir.h", "leases"): "weir_lease",
         ("weir.h", "what a connector or a listener reports"): "weir_conn",
         ("weir.h", "reports"): "weir_pool_stats", ("factory.h", ""): "weir_factory",
         ("runtime.h", "the runtime"): "weir_runtime", ("runtime.h", "shared pools"): "weir_shared",
         ("runtime.h", "loans"): "weir_loan", ("runtime.h", "reports"): "weir_shared_stats",
         ("http.h", ""): "weir_text", ("http.h", "the client"): "weir_http_client",
         ("http.h", "a request"): "weir_http_request", ("http.h", "an answer"): "weir_http_answer",
         ("http.h", "a proxy, tried"): "weir_proxy_test",
         ("grpc.h", "a unary call that waits"): "weir_grpc_reply",
         ("websocket.h", "a connection"): "weir_websocket",
         ("openclaw.h", "the client"): "weir_openclaw", ("openclaw.h", "gateways"): "weir_openclaw_gateway",
         ("openclaw.h", "requests"): "weir_openclaw_request",
         ("session.h", "opening"): "weir_sessions", ("session.h", "a session"): "weir_session",
         ("session.h", "where it is served"): "weir_session_place",
         ("session.h", "a store of the program's"): "weir_session_store",
         ("session.h", "a Redis"): "weir_sessions_redis",
         ("session.h", "lists and figures"): "weir_sessions_stats",
         ("server.h", "serving"): "weir_server",
         ("server.h", "the pool of its connections"): "weir_server_pool",
         ("server.h", "a request"): "weir_server_request", ("server.h", "an exchange"): "weir_exchange"}


def page_of(header, section):
    title = re.sub(r"\W+", "_", section.title.removeprefix("a ").removeprefix("an ").removeprefix("the "))
    stem = header.name.removesuffix(".h")
    return PAGES.get((header.name, section.title)) or f"weir_{stem}_{title}".rstrip("_")


# --- prose: paragraphs, numbered rules, pictures ------------------------------------------------


def paragraphs_of(text):
    """(kind, text): "text"; "item" with its number; "code", as it stands."""
    kind, lines = None, []
    for line in text.split("\n") + [""]:
        item = re.match(r" {0,3}(\d+)\. +(.*)", line)
        new = "code" if line.startswith("    ") and kind in (None, "code") else None
        if kind == "code" and (new or not line.strip()):
            lines.append(line[4:])
            continue
        if lines and (item or not line.strip() or kind == "code"):
            yield kind, "\n".join(lines).strip("\n") if kind == "code" else " ".join(lines)
            kind, lines = None, []
        if item:
            kind, lines = "item", [f"{item.group(1)}.", item.group(2)]
        elif line.strip():
            kind, lines = new or kind or "text", lines + [line[4:] if new else line.strip()]
    if lines and any(lines):
        yield kind, "\n".join(lines).strip("\n")


def duration(value):
    milliseconds = int(value)
    for unit, size in (("h", 3600000), ("min", 60000), ("s", 1000)):
        if milliseconds % size == 0 and milliseconds >= size:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


def meaning_of(row):
    """A row's text, with the default of an option and the word of the configuration and the logs."""
    text, default = row.columns["text"], row.columns.get("def")
    if default is not None:
        word = default.removeprefix("WEIR_").lower().replace("_", " ")
        default = word if not default.isdigit() else default
        text += f" [{duration(default) if row.columns['type'] == 'ms' and default.isdigit() else default}]"
    return text


# --- Markdown -----------------------------------------------------------------------------------


def md_text(text):
    text = text.replace("<", "&lt;")
    return re.sub(r"(\*\w+\*)|\*", lambda found: found.group(1) or "\\*", text)


def md_prose(text):
    for kind, words in paragraphs_of(text):
        if kind == "code":
            yield f"```c\n{words}\n```"
        else:
            yield md_text(words)


def md_rows(rows):
    lines = ["| | |", "|---|---|"]
    for row in rows:
        lines.append(f"| `{row.name}` | {md_text(meaning_of(row)).replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def markdown_of(header):
    parts = [f"# {header.name}", f"{header.brief[0].upper()}{header.brief[1:]}. {WRITTEN}"]
    parts += md_prose(header.overview)
    for section in header.sections:
        if section.title:
            parts.append(f"## {section.title[0].upper()}{section.title[1:]}")
        parts.append(f"Manual page: {page_of(header, section)}(3).")
        for piece in section.pieces:
            parts += md_prose(piece.comment)
            if piece.code.strip():
                parts.append(f"```c\n{piece.code}\n```")
            if piece.rows:
                parts.append(md_rows(piece.rows))
    return "\n\n".join(parts) + "\n"


def index_of(all_headers):
    lines = ["# Reference", "", f"What the public headers say, one page for each. {WRITTEN}", ""]
    for header in all_headers:
        lines.append(f"* [{header.name}]({header.name.removesuffix('.h')}.md): {header.brief}")
    lines += ["* [Profiles](profiles.md): named options of pools",
              "* [The admin interface](admin.md): its paths, and what their answers hold",
              "* [Metrics](../metrics.md): the families of /metrics", "", "Every function, by name:", ""]
    found = sorted((name, header.name.removesuffix(".h")) for header in all_headers
                   for section in header.sections for piece in section.pieces for name in piece.functions)
    lines += [f"* [{name}]({stem}.md)" for name, stem in found]
    return "\n".join(lines) + "\n"


def profile_rows():
    """A row for each option that a profile sets: its word, and the value in each of them, or ""."""
    table = headers.profiles()
    options = list(dict.fromkeys(word for values in table.values() for word in values))
    return list(table), [(word, [table[name].get(word, "") for name in table]) for word in options]


def profiles_markdown():
    names, rows = profile_rows()
    lines = ["# Profiles", "", "What `weir_profile()` and `profile:` set; where there is nothing, the pool's own default holds "
             f"([option.def](weir.md#pools)). {WRITTEN}", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| `{word}` | {' | '.join(values)} |" for word, values in rows]
    return "\n".join(lines) + "\n"


def profiles_page():
    names, rows = profile_rows()
    body = [".SH DESCRIPTION", "What", "\\fBweir_profile\\fR() sets over options that are zero."]
    for position, name in enumerate(names):
        body += [".TP", f"\\fB{name}\\fR"]
        body.append(man_text("; ".join(f"{word} {values[position]}" for word, values in rows if values[position]) + "."))
    return man_page("weir_profiles", 3, ["weir_profiles"], "named options of pools", "\n".join(body),
                    [("weir_pool", 3), ("weir.h", 3)])


# --- manual pages -------------------------------------------------------------------------------


def man_escape(text):
    text = text.replace("\\", "\\e").replace("…", "...")
    text = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found.group()):04X}]", text)
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.M)


def man_text(text):
    text = man_escape(text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    text = re.sub(r"(?<![\w*])\*(\w+)\*", r"\\fI\1\\fR", text)
    return re.sub(r"\b(weir_\w+)(?=\()", r"\\fB\1\\fR", text)


def man_code(code):
    return ".nf\n" + man_escape(code).replace("-", "\\-") + "\n.fi"


def man_prose(text):
    for kind, words in paragraphs_of(text):
        if kind == "code":
            yield ".PP\n.RS 4\n" + man_code(words) + "\n.RE"
        elif kind == "item":
            number, _, rest = words.partition(" ")
            yield f".IP {number} 4\n{man_text(rest)}"
        else:
            yield f".PP\n{man_text(words)}"


def man_rows(rows):
    return "\n".join(f".TP\n\\fB{row.name}\\fR\n{man_text(meaning_of(row))}" for row in rows)


def man_page(name, number, names, brief, body, see):
    head = f'.\\" {WRITTEN}\n.TH {name.upper()} {number} "" "weir" "weir"\n.SH NAME\n'
    see = ",\n".join(f".BR {other} ({section})" for other, section in see)
    see = see.replace("),\n", ") ,\n")
    return f"{head}{', '.join(names)} \\- {man_text(brief)}\n{body}\n.SH SEE ALSO\n{see}\n"


def section_page(header, section, others):
    functions = [name for piece in section.pieces for name in piece.functions]
    name = page_of(header, section)
    names = [name] + [function for function in functions if function != name]
    body = [".SH SYNOPSIS", man_code(f"#include <weir/{header.name}>\n\n"
                                     "cc ... $(pkg-config --cflags --libs weir)"), ".SH DESCRIPTION"]
    for piece in section.pieces:
        if piece.code.strip():
            body += [".PP", man_code(re.sub(r"^#(define|include|undef) .*\.def>\n?", "", piece.code))]
        if piece.comment:
            body += [".RS 4", *man_prose(piece.comment), ".RE"]
        if piece.rows:
            body.append(man_rows(piece.rows))
    brief = f"{section.title or header.brief} (<weir/{header.name}>)"
    return man_page(name, 3, names, brief, "\n".join(body), [(f"weir_{header.name}".replace("weir_weir", "weir"), 3)] +
                    [(other, 3) for other in others if other != name])


def header_page(header, pages):
    name = f"weir_{header.name}".replace("weir_weir", "weir")
    body = [".SH SYNOPSIS", man_code(f"#include <weir/{header.name}>"), ".SH DESCRIPTION",
            *man_prose(header.overview)]
    return man_page(name, 3, [name], header.brief, "\n".join(body), [(page, 3) for page in pages])


def pages_of_library(all_headers):
    """{file name: text}, and the aliases: a function's name, and the page that it is on."""
    pages, aliases = {}, []
    for header in all_headers:
        names = [page_of(header, section) for section in header.sections]
        top = f"weir_{header.name}".replace("weir_weir", "weir")
        pages[f"{top}.3"] = header_page(header, names)
        for section, name in zip(header.sections, names):
            if f"{name}.3" in pages:
                raise SystemExit(f"{header.name}: two pages called {name}; name one in PAGES")
            pages[f"{name}.3"] = section_page(header, section, names)
            aliases += [(function, name) for piece in section.pieces for function in piece.functions]
    aliases = [f"{function} {page}" for function, page in sorted(aliases) if f"{function}.3" not in pages]
    pages["aliases.txt"] = "\n".join(aliases) + "\n"
    return pages


# --- the program and its configuration -----------------------------------------------------------


def said(weir, *words):
    return subprocess.run([weir, *words], check=True, capture_output=True, text=True).stdout


def program_page(weir):
    first, *listed = said(weir, "help").splitlines()
    commands = [line.split()[1] for line in listed if line.startswith("  weir ")]
    body = [".SH SYNOPSIS", ".B weir", "\\fICOMMAND\\fR [\\fIOPTION\\fR]...", ".SH DESCRIPTION",
            "weir accepts HTTP and relays it over pooled connections. Each command says more of itself:",
            "\\fBweir help\\fR \\fICOMMAND\\fR.", ".SH COMMANDS"]
    for command in commands:
        usage, _, text = said(weir, "help", command).partition("\n") if command != "help" else \
            ("weir help [COMMAND] - what there is", "", "Lists the commands, or explains one.")
        usage, _, brief = usage.partition(" - ")
        text = text.strip("\n")
        body += [f".SS {man_escape(usage)}", f"{man_text(brief[0].upper() + brief[1:])}."]
        for block in text.split("\n\n") if text else ():
            body += [".PP", man_code(block) if block.startswith("  ") else man_text(block)]
    body += [".SH EXAMPLES", man_code("weir demo\nweir check -c weir.yaml && weir serve -c weir.yaml")]
    brief = first.partition(" - ")[2]
    return man_page("weir", 1, ["weir"], brief, "\n".join(body), [("weir.yaml", 5), ("weir.h", 3)])


def configuration_page(options):
    """From the Markdown of `weir config reference`: headings, terms, and ': ' what they mean."""
    body = [".SH DESCRIPTION"]
    for line in options.splitlines()[1:]:
        if line.startswith("## "):
            body.append(f".SH {man_text(line[3:]).upper()}")
        elif line.startswith("`"):
            body += [".TP", man_text(line.rstrip())]
        elif line.startswith(": "):
            body.append(man_text(line[2:]))
        elif line.strip():
            body += [".PP", man_text(line)]
    example = (ROOT / "examples" / "relay.yaml").read_text().rstrip()
    body += [".SH EXAMPLES", man_code(example)]
    return man_page("weir.yaml", 5, ["weir.yaml"], "the configuration of weir", "\n".join(body),
                    [("weir", 1)])


def schema_word(schema):
    """A type as one word, as the table of the interface has it: text or number, or null, ..."""
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = {"string": "text", "integer": "number", "number": "fraction", "boolean": "true or false", "array": "list"}
    return " or ".join("time" if schema.get("format") == "date-time" and kind == "string" else words.get(kind, kind)
                       for kind in kinds)


def admin_members(schema, prefix=""):
    for name, member in schema.get("properties", {}).items():
        yield f"| `{prefix}{name}` | {schema_word(member)} | {md_text(member['description'])} |"
        inside = member.get("items", member)
        yield from admin_members(inside, f"{prefix}{name}{'[]' if 'items' in member else ''}.")


def admin_table(title, rows):
    return f"{title}\n\n| | | |\n|---|---|---|\n" + "\n".join(rows)


def admin_operation(method, path, said_of_it):
    role = said_of_it["x-weir-role"]
    parts = [f"## {method.upper()} {path}", f"{md_text(said_of_it['summary'])} *{role[0].upper()}{role[1:]}.*"]
    queries = [row for row in said_of_it["parameters"] if row["in"] == "query"]
    if queries:
        parts.append(admin_table("Query:", [f"| `{row['name']}` | {schema_word(row['schema'])} | "
                                            f"{md_text(row['description'])} |" for row in queries]))
    if "requestBody" in said_of_it:
        body = said_of_it["requestBody"]["content"]["application/json"]["schema"]
        parts.append(admin_table("Body:", admin_members(body)))
    schema = next(iter(said_of_it["responses"]["200"]["content"].values()))["schema"]
    lists = [name for name, member in schema.get("properties", {}).items() if "items" in member and "cut" in schema["properties"]]
    if lists:
        rows = schema["properties"][lists[0]]["items"]
        parts.append(admin_table(f"Answer: `{{\"{lists[0]}\": [...], \"cut\": whether rows were left out}}`; of each row:",
                                 admin_members(rows)))
    elif schema.get("properties"):
        parts.append(admin_table("Answer:", admin_members(schema)))
    return "\n\n".join(parts)


def admin_markdown(weir):
    api = json.loads(said(weir, "config", "openapi"))
    parts = ["# The admin interface",
             f"What `admin.address` serves: `GET /api/v1/openapi.json` says the same to programs. {WRITTEN}",
             "Where `admin.token` is set, every request shows it (`Authorization: Bearer`), but those for *anyone*; "
             "`admin.viewer_token` shows what a *viewer* may have, and changes nothing. A field that is not listed is not "
             "in an answer; one that is may be absent where it says nothing. A refusal is "
             "`{\"error\": {\"code\": 404, \"message\": \"...\"}}`."]
    parts += [admin_operation(method, path, operation) for path, methods in api["paths"].items()
              for method, operation in methods.items()]
    return "\n\n".join(parts) + "\n"


# --- writing and checking ------------------------------------------------------------------------


def everything(weir):
    all_headers = headers.read_all()
    files = {REFERENCE / "README.md": index_of(all_headers)}
    for header in all_headers:
        files[REFERENCE / header.name.replace(".h", ".md")] = markdown_of(header)
    for name, text in pages_of_library(all_headers).items():
        files[MAN / name] = text
    files[REFERENCE / "profiles.md"] = profiles_markdown()
    files[MAN / "weir_profiles.3"] = profiles_page()
    options = said(weir, "config", "reference")
    files[ROOT / "docs" / "options.md"] = options
    files[REFERENCE / "admin.md"] = admin_markdown(weir)
    files[MAN / "weir.1"] = program_page(weir)
    files[MAN / "weir.yaml.5"] = configuration_page(options)
    return all_headers, files


def faults_of(all_headers, files):
    for header in all_headers:
        for section in header.sections:
            for piece in section.pieces:
                for name in piece.undocumented:
                    yield f"include/weir/{header.name}: {name}() is not documented"
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is not up to date: make reference"
    for path in sorted(MAN.glob("*.[135]")):
        done = subprocess.run(["man", "-l", "--warnings", "-P", "cat", path], check=False, text=True,
                              capture_output=True, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
        if done.returncode or done.stderr or not done.stdout:
            yield f"{path.relative_to(ROOT)} does not render: {done.stderr.strip()}"
    for path in sorted([*REFERENCE.glob("*"), *MAN.glob("*")]):
        if path not in files:
            yield f"{path.relative_to(ROOT)} is of nothing any more: make reference"


def main():
    all_headers, files = everything(pathlib.Path(sys.argv[1]).resolve())
    if "--check" not in sys.argv[2:]:
        for path in [*REFERENCE.glob("*"), *MAN.glob("*")]:
            if path not in files:
                path.unlink()
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        print(f"reference: {len(files)} files written")
        return 0
    faults = list(faults_of(all_headers, files))
    for fault in faults:
        print(fault)
    print(f"reference: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
