"""Pages for ``http.handlers.templates``: each is a file of a site, and is asked for as Caddy's is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.caddy.differential import Case

PAGES = [
    "plain text", "{{1}} {{1.5}} {{1e3}} {{0x1F}} {{'a'}} {{\"q\\\"\\n\"}} {{`raw\\n`}} {{true}}", "a {{- 1 -}} b {{1 -}}  c  {{- /* c */ -}} d{{/* e */}}f",
    "{{if true}}yes{{end}}{{if false}}no{{else}}other{{end}}{{if 0}}a{{else if \"x\"}}b{{else}}c{{end}}",
    "{{with \"x\"}}{{.}}{{end}}{{with \"\"}}a{{else}}empty{{end}}{{with 0}}a{{else with 2}}{{.}}{{end}}",
    "{{range $i, $x := list \"a\" \"b\"}}{{$i}}={{$x}};{{end}}{{range list}}x{{else}}none{{end}}{{range 3}}{{.}}{{end}}",
    "{{range $k, $v := dict \"b\" 1 \"a\" 2}}{{$k}}:{{$v}} {{end}}{{range list 1 2 3 4}}{{if eq . 2}}{{continue}}{{end}}{{if eq . 4}}{{break}}{{end}}{{.}}{{end}}",
    "{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}", "{{define \"T\"}}<{{.}}>{{end}}{{template \"T\" 5}}{{template \"T\"}}{{block \"B\" 7}}[{{.}}]{{end}}",
    "{{eq 1 1}} {{eq 1 2 3 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}} {{not 1}} {{and 1 0 2}} {{or 0 \"\" 3}} {{and 1 2}}",
    "{{len \"abc\"}} {{len (list 1 2)}} {{index (list 5 6) 1}} {{index (dict \"a\" \"b\") \"a\"}} {{index (dict) \"x\"}} {{(dict \"a\" (dict \"b\" 3)).a.b}}",
    "{{print 1 2 \"a\" 3}} {{println 1 \"a\"}}{{printf \"%d %5d|%-5d|%05d %s %q %v %x %.2f %t %c %%\" 1 2 3 4 \"s\" \"q\" (list 1) 255 1.5 true 65}}",
    "{{printf \"%d\" \"x\"}} {{printf \"%d %d\" 1}} {{printf \"a\" 1}} {{printf \"%5s|%-5s|%.1s\" \"a\" \"b\" \"cd\"}} {{printf \"%v %v %v\" nil true 1.0}}",
    "{{html \"<a href='x'>&\"}} {{js \"it's <b>\"}} {{urlquery \"a b&c\"}} {{\"<b>\"}}", "{{list 1 \"a\" true}} {{dict \"b\" 1 \"a\" (list 2)}} {{\"\" | default \"d\"}} {{list}} {{dict}}",
    "{{\"a\" | upper | printf \"%s-%s\" \"x\"}} {{1 | add 2 | mul 3}}", "{{.Req.Method}} {{.Req.URL.Path}} {{.Req.URL.RawQuery}} {{.Req.Host}} {{.Req.Proto}} {{.Req.RequestURI}} {{.Req.URL}}",
    "{{.Req.Header.Get \"X-A\"}} {{index .Req.Header \"X-A\"}} {{.Req.URL.Query.Get \"a\"}} {{.Req.URL.Query}} {{.Req.FormValue \"a\"}} {{.Req.UserAgent}}|{{.Req.Referer}}",
    "{{.Cookie \"c\"}} {{.Cookie \"none\"}}| {{.Host}} {{.RemoteIP}} {{.ClientIP}} {{.OriginalReq.Method}}", "{{.RespHeader.Set \"X-Set\" \"v\"}}{{.RespHeader.Add \"X-Add\" \"1\"}}{{.RespHeader.Add \"X-Add\" \"2\"}}{{.RespHeader.Del \"X-None\"}}done",
    "{{placeholder \"http.request.method\"}} {{ph \"http.request.uri.path\"}} {{placeholder \"http.nothing\"}}| {{env \"NOTHING_OF_THE_KIND\"}}|",
    "{{include \"/inc.html\" \"arg\" 2}}", "{{import \"/lib.html\"}}{{template \"lib\" 3}}", "{{readFile \"/inc.html\"}}", "{{listFiles \"/sub\"}} {{fileExists \"/sub/a.txt\"}} {{fileExists \"/none\"}}",
    "{{(fileStat \"/sub/a.txt\").Size}} {{(fileStat \"/sub\").IsDir}} {{(fileStat \"/sub/a.txt\").Name}}",
    "{{markdown \"# Hi *there*\\n\\n- a\\n- b\\n\\n`code`\\n\\n> q\\n\\n1. one\\n\\n[l](/x)\"}}", "{{$p := splitFrontMatter (readFile \"/page.md\")}}{{$p.Meta.title}}|{{$p.Meta.n}}|{{range $p.Meta.tags}}{{.}},{{end}}|{{$p.Body}}",
    "{{$p := splitFrontMatter (readFile \"/page.toml\")}}{{$p.Meta.title}}|{{$p.Body}}", "{{$p := splitFrontMatter (readFile \"/page.json\")}}{{$p.Meta.title}}|{{$p.Body}}", "{{(splitFrontMatter \"no matter\").Body}}",
    "{{stripHTML \"a <b>bold</b> x\"}}", "{{humanize \"size\" \"2048000\"}} {{humanize \"size\" \"12\"}} {{humanize \"size\" \"999500\"}} {{humanize \"size\" \"15300000000\"}}",
    "{{pathEscape \"a b/c?d&e\"}} {{maybe \"nothing\"}}|", "{{httpInclude \"/inc.txt\"}}",
    "{{trim \"  a \"}}|{{trimAll \"$\" \"$5$\"}}|{{trimSuffix \"-\" \"a-\"}}|{{trimPrefix \"-\" \"-a\"}}|{{lower \"AB\"}}|{{title \"hello world\"}}|{{untitle \"Hello World\"}}|{{repeat 3 \"ab\"}}|{{substr 1 3 \"hello\"}}|{{nospace \"a b c\"}}|{{trunc 3 \"hello\"}}|{{trunc -2 \"hello\"}}|{{abbrev 5 \"hello world\"}}|{{initials \"First Try\"}}",
    "{{contains \"b\" \"abc\"}} {{hasPrefix \"a\" \"abc\"}} {{hasSuffix \"a\" \"abc\"}} {{quote \"a\" 1}} {{squote \"a\"}} {{cat \"a\" 1 true}} {{indent 2 \"a\\nb\"}}{{nindent 2 \"a\"}} {{replace \" \" \"-\" \"a b c\"}} {{plural \"one\" \"many\" 1}}{{plural \"one\" \"many\" 2}}",
    "{{snakecase \"FirstName\"}} {{camelcase \"http_server\"}} {{kebabcase \"FirstName\"}} {{swapcase \"aB\"}} {{wrap 5 \"hello brave world\"}} {{join \"-\" (list 1 \"b\")}} {{splitList \",\" \"a,b\"}} {{(split \",\" \"a,b\")._1}} {{sortAlpha (list \"c\" \"a\")}}",
    "{{regexMatch \"^a+$\" \"aaa\"}} {{regexFind \"[0-9]+\" \"ab12c3\"}} {{regexFindAll \"[0-9]+\" \"1 22 333\" 2}} {{regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\"}} {{regexSplit \"z+\" \"pizza\" -1}}",
    "{{add 1 2 3}} {{add1 4}} {{sub 5 2}} {{mul 2 3 4}} {{div 7 2}} {{mod 7 3}} {{max 1 3 2}} {{min 3 1 2}} {{floor 1.7}} {{ceil 1.2}} {{round 1.2345 2}} {{addf 1.5 2}} {{until 3}} {{untilStep 2 10 3}} {{seq 1 3}} {{seq 3}} {{int \"7\"}} {{atoi \"8\"}} {{float64 \"1.5\"}} {{int64 3.9}}",
    "{{first (list 1 2 3)}} {{rest (list 1 2 3)}} {{last (list 1 2 3)}} {{initial (list 1 2 3)}} {{append (list 1) 2}} {{prepend (list 1) 0}} {{concat (list 1) (list 2)}} {{reverse (list 1 2)}} {{uniq (list 1 1 2)}} {{without (list 1 2 3) 2}} {{has 2 (list 1 2)}} {{compact (list 1 \"\" 0 2)}} {{slice (list 1 2 3) 1 2}} {{slice (list 1 2 3) 1}} {{chunk 2 (list 1 2 3)}}",
    "{{$d := dict \"a\" 1}}{{$_ := set $d \"b\" 2}}{{$d}} {{hasKey $d \"a\"}} {{get $d \"b\"}} {{$_ := unset $d \"a\"}}{{$d}} {{keys $d}} {{values $d}} {{pick (dict \"a\" 1 \"b\" 2) \"a\"}} {{omit (dict \"a\" 1 \"b\" 2) \"a\"}} {{merge (dict \"a\" 1) (dict \"a\" 2 \"b\" 3)}} {{dig \"a\" \"b\" \"none\" (dict \"a\" (dict \"b\" 4))}} {{pluck \"a\" (dict \"a\" 1) (dict \"a\" 2)}}",
    "{{default \"d\" \"\"}} {{empty 0}} {{coalesce 0 \"\" 5}} {{ternary \"y\" \"n\" true}} {{true | ternary \"y\" \"n\"}} {{all 1 2}} {{any 0 1}} {{kindOf 1}} {{kindOf \"a\"}} {{kindOf (list)}} {{kindIs \"int\" 1}} {{toString 5}} {{toStrings (list 1 2)}}",
    "{{toJson (dict \"a\" (list 1 \"<b>\"))}} {{toPrettyJson (dict \"a\" 1)}} {{toRawJson (dict \"a\" \"<b>\")}} {{(fromJson \"{\\\"a\\\": [1, 2]}\").a}} {{b64enc \"hello\"}} {{b64dec \"aGVsbG8=\"}} {{b32enc \"hi\"}} {{sha1sum \"a\"}} {{sha256sum \"a\"}} {{adler32sum \"a\"}}",
    "{{date \"2006-01-02\" 0}} {{dateInZone \"2006-01-02 15:04:05 MST\" 1700000000 \"UTC\"}} {{duration \"95\"}} {{unixEpoch (toDate \"2006-01-02\" \"2026-11-26\")}} {{(toDate \"2006-01-02\" \"2026-11-26\").Year}} {{(toDate \"2006-01-02\" \"2026-11-26\").Format \"Mon, 02 Jan\"}} {{htmlDate (toDate \"2006-01-02\" \"2026-11-26\")}} {{now | date \"2006\" | len}}",
    "{{base \"/a/b.txt\"}} {{dir \"/a/b.txt\"}} {{ext \"/a/b.txt\"}} {{clean \"/a/../b\"}} {{isAbs \"/a\"}} {{(urlParse \"http://u:p@h:80/p?q#f\").host}} {{urlJoin (dict \"scheme\" \"http\" \"host\" \"h\" \"path\" \"/p\")}}",
    "{{$x := \"a\"}}{{with $y := \"b\"}}{{$x}}{{$y}}{{$.Req.Method}}{{end}}", "{{(len \"abc\") | printf \"%03d\"}}", "{{ $a := list 1 2 }}{{ range $a }}{{ . }}{{ end }}{{ len $a }}", "{{index \"abc\" 1}}",
    "{{if and (eq .Req.Method \"GET\") (hasPrefix \"/\" .Req.URL.Path)}}both{{end}}", "{{if or (eq 1 2) (not false)}}either{{end}}", "{{.Args}}|", "{{range .Args}}x{{else}}no args{{end}}", "{{\"a\\tb\\u00e9\\x41\"}}", "é {{len \"é\"}} {{upper \"é\"}}",
]  # fmt: skip
FILES = {
    "inc.html": "inc {{index .Args 0}} {{.Req.Method}}", "inc.txt": "text {{.Req.URL.Path}}", "lib.html": "ignored{{define \"lib\"}}lib {{.}}{{end}}", "sub/a.txt": "hello",
    "page.md": "---\ntitle: A page\nn: 3\ntags: [x, y]\n---\n# Body", "page.toml": "+++\ntitle = \"T\"\n+++\nbody", "page.json": "{\"title\": \"J\"}\nbody",
}  # fmt: skip
FIELDS = (("X-A", "one"), ("Cookie", "c=7"), ("User-Agent", "test"))


def make_pages(folder: Path) -> Path:
    """Write the pages and what they include."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for number, text in enumerate(PAGES):
        (folder / f"p{number}.html").write_text(text)
    return folder


def template_cases(root: Path) -> list[Case]:
    """Return a server's route for the pages, and a request for each."""
    routes: list[dict[str, Any]] = [
        {
            "handle": [
                {"handler": "vars", "root": str(root)},
                {"handler": "templates"},
                {"handler": "file_server"},
            ]
        }
    ]
    asked: list[Any] = [
        ("GET", f"/p{number}.html?a=1&b=x+y", FIELDS, "example.com:80")
        for number in range(len(PAGES))
    ]
    return [Case("templates", routes, asked)]
