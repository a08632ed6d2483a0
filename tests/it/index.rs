//! The index client: how files are found, who is told what, and what is believed.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::python::host_platform;
use crate::support::run::files_below;
use crate::support::wheel::WheelFile;
use crate::support::{Answer, Member, Package, Project, Reply, Sandbox, Server, Wheel, authorization, python, sha256};

const WHEEL: &str = "thing-1.0-py3-none-any.whl";
const PAGE: &str = "/simple/thing/";
const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "text/html; charset=utf-8";

fn thing() -> WheelFile {
    Wheel::new("thing", "1.0").file("thing.py", "WORD = 'fetched'\n").build()
}

/// A Poetry project that needs some packages, each with its files and their hashes.
#[derive(Debug, Clone)]
struct Poetry {
    index: String,
    packages: Vec<(String, Vec<(String, String)>)>,
    /// TOML of `pyproject.toml` that names the index.
    source: String,
    configuration: String,
}

impl Poetry {
    fn over(index: &str, wheels: &[WheelFile]) -> Self {
        let mut packages: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for wheel in wheels {
            let file = (wheel.filename.clone(), wheel.sha256());
            match packages.iter_mut().find(|(name, _)| *name == wheel.name) {
                Some((_, files)) => files.push(file),
                None => packages.push((wheel.name.clone(), vec![file])),
            }
        }
        let source = format!("[[tool.poetry.source]]\nname = \"my-corp.index\"\nurl = \"{index}\"\n");
        let platform = host_platform();
        let configuration =
            format!("[tool.bundle]\nplatforms = [\"{platform}\"]\npython = \"{}\"\n", python().minor_version);
        Self { index: index.to_owned(), packages, source, configuration }
    }

    /// Replaces what the lock promises of every file.
    fn locked_sha256(mut self, sha256: &str) -> Self {
        let files = self.packages.iter_mut().flat_map(|(_, files)| files);
        files.for_each(|(_, hash)| sha256.clone_into(hash));
        self
    }

    /// Replaces what `pyproject.toml` says of indexes.
    fn source(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.source);
        self
    }

    fn configured_with(mut self, toml: &str) -> Self {
        self.configuration.push_str(toml);
        self
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::empty();
        let mut pyproject = String::from(
            "[tool.poetry]\nname = \"app\"\nversion = \"1.0\"\npackage-mode = false\n\
             [tool.poetry.dependencies]\npython = \">=3.9\"\n",
        );
        let mut lock = String::new();
        for (name, files) in &self.packages {
            let _ = writeln!(pyproject, "{name} = \"1.0\"");
            let _ = write!(
                lock,
                "[[package]]\nname = \"{name}\"\nversion = \"1.0\"\noptional = false\npython-versions = \"*\"\n\
                 groups = [\"main\"]\nfiles = ["
            );
            for (file, sha256) in files {
                let _ = write!(lock, "{{file = \"{file}\", hash = \"sha256:{sha256}\"}}, ");
            }
            let _ = write!(
                lock,
                "]\n\n[package.source]\ntype = \"legacy\"\nurl = \"{}\"\nreference = \"my-corp.index\"\n\n",
                self.index
            );
        }
        lock.push_str("[metadata]\nlock-version = \"2.1\"\npython-versions = \">=3.9\"\n");
        let _ = write!(pyproject, "\n{}\n{}", self.source, self.configuration);
        std::fs::write(sandbox.project().join("pyproject.toml"), pyproject).expect("pyproject.toml");
        std::fs::write(sandbox.project().join("poetry.lock"), lock).expect("poetry.lock");
        sandbox
    }
}

/// A project of uv's that needs the same wheel, with credentials in none of its URLs.
fn uv(server: &Server, configuration: &str) -> Sandbox {
    let root = Member::root("app").needs(&["thing"]).without_build_system();
    let project = Project::new().member(root).package(Package::served(server, &thing()));
    Sandbox::new(&project.configured_with(configuration))
}

/// A page in JSON with these files: name, URL, SHA-256 and further keys.
fn json_page(files: &[(&str, &str, &str, &str)]) -> Answer {
    let entry = |(name, url, sha256, more): &(&str, &str, &str, &str)| {
        format!(r#"{{"filename": "{name}", "url": "{url}", "hashes": {{"sha256": "{sha256}"}}{more}}}"#)
    };
    let files: Vec<String> = files.iter().map(entry).collect();
    let body = format!(r#"{{"meta": {{"api-version": "1.0"}}, "name": "x", "files": [{}]}}"#, files.join(", "));
    Answer::page(JSON, body)
}

fn page_of(wheel: &WheelFile) -> Answer {
    json_page(&[(&wheel.filename, &format!("/files/{}", wheel.filename), &wheel.sha256(), "")])
}

/// A server with the page and the wheel of `thing`.
fn index() -> Server {
    let server = Server::start();
    server.publish(&thing());
    server.answer(PAGE, page_of(&thing()));
    server
}

fn project(server: &Server) -> Sandbox {
    Poetry::over(&server.index(), &[thing()]).sandbox()
}

fn runs(sandbox: &Sandbox) {
    let artifact = sandbox.artifact("app");
    sandbox.run(artifact).args(["-c", "import thing; print(thing.WORD)"]).success().prints("fetched");
}

/// Forgets the wheels, so that they have to be looked up again.
fn forget_wheels(sandbox: &Sandbox) {
    std::fs::remove_dir_all(sandbox.cache().join("v1/wheels")).expect("wheels were cached");
}

/// Kept pages.
fn pages(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let directory = sandbox.cache().join("v1/pages");
    files_below(&directory).iter().map(|path| directory.join(path)).collect()
}

/// Expects a text nowhere in the sandbox but in what the test itself wrote there.
fn nowhere(sandbox: &Sandbox, secret: &str, except: &[&str]) {
    for path in files_below(&sandbox.path("")) {
        let bytes = std::fs::read(sandbox.path("").join(&path)).unwrap_or_default();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found || except.iter().any(|name| path.ends_with(name)), "`{secret}` is in {}", path.display());
    }
}

#[test]
fn files_are_found_on_pages_of_every_kind() {
    let hash = thing().sha256();
    let other = Server::start();
    other.publish(&thing());
    let link = |href: &str| format!("<!DOCTYPE html><html><body><a href=\"{href}#sha256={hash}\">x</a></body></html>");
    let based = |base: &str| format!("<head><base href=\"{base}\"></head>{}", link(WHEEL));
    for (content_type, body) in [
        (HTML, link(&format!("../../files/{WHEEL}"))),
        ("application/vnd.pypi.simple.v1+html", link(&format!("/files/{WHEEL}"))),
        ("", link(&format!("//{}/files/{WHEEL}", other.host()))),
        (HTML, based("../../files/")),
        (HTML, based(&format!("http://{}/files/", other.host()))),
    ] {
        let server = Server::start();
        server.publish(&thing());
        server.answer(PAGE, Answer::page(content_type, &body));
        let sandbox = project(&server);
        sandbox.build("app");
        runs(&sandbox);
        let accept = server.requests_at(PAGE)[0].header("accept").expect("accept").to_owned();
        assert!(accept.starts_with(JSON) && accept.contains("text/html"), "{accept}");
    }
    let server = index();
    let sandbox = project(&server);
    sandbox.build("app");
    runs(&sandbox);
}

#[test]
fn links_start_where_the_page_came_from_in_the_end() {
    let server = index();
    let other = Server::start();
    other.publish(&thing());
    other.answer("/moved/thing/", json_page(&[(WHEEL, &format!("../../files/{WHEEL}"), &thing().sha256(), "")]));
    server.answer(PAGE, Answer::redirect(301, &format!("http://{}/moved/thing/", other.host())));
    let sandbox = project(&server);
    sandbox.build("app");
    assert_eq!((server.requests_for(WHEEL), other.requests_for(WHEEL)), (0, 1));
}

#[test]
fn answers_that_are_no_pages_are_refused() {
    for (answer, says) in [
        (Answer::page(JSON, "<!DOCTYPE html><html></html>"), "looks like HTML"),
        (Answer::page(JSON, "{\"files\": [{\"filename\": \"thing"), "EOF"),
        (Answer::page(JSON, "{\"message\": \"nothing here\"}"), "files"),
        (Answer::page("image/png", "\u{7f}PNG"), "image/png"),
        (Answer::page(JSON, r#"{"meta": {"api-version": "2.0"}, "files": []}"#), "2.0"),
    ] {
        let server = index();
        server.answer(PAGE, answer);
        let finished = project(&server).bundle(&["build", "app"]).fails_with(5);
        finished.says(&["`thing`", &server.host(), says, "hint: "]);
        assert_eq!(server.requests(), 1);
    }
}

#[test]
fn a_package_without_the_file_is_named() {
    let server = index();
    for answer in [Answer::new(404), json_page(&[]), Answer::page(HTML, "<h1>Sign in</h1>")] {
        server.answer(PAGE, answer);
        project(&server).bundle(&["build", "app"]).fails_with(5).says(&[WHEEL, "`thing`", &server.host()]);
    }
}

#[test]
fn one_page_serves_all_files_of_a_package() {
    let server = Server::start();
    let wheels = ["x86_64", "aarch64"].map(|arch| {
        let wheel = Wheel::new("thing", "1.0").tag(&format!("py3-none-manylinux2014_{arch}"));
        wheel.file("thing.py", arch).build()
    });
    for wheel in &wheels {
        server.publish(wheel);
    }
    let entries: Vec<_> =
        wheels.iter().map(|wheel| (wheel.filename.clone(), server.url(&wheel.filename), wheel.sha256())).collect();
    let entries: Vec<_> =
        entries.iter().map(|(name, url, hash)| (name.as_str(), url.as_str(), hash.as_str(), "")).collect();
    server.answer(PAGE, json_page(&entries));
    let sandbox = Poetry::over(&server.index(), &wheels).sandbox();
    let platforms = ["--platform", "x86_64-manylinux2014", "--platform", "aarch64-manylinux2014"];
    sandbox.bundle(&["build", "app"]).args(platforms).success();
    assert_eq!((server.requests_at(PAGE).len(), server.requests()), (1, 3));
}

#[test]
fn pages_are_looked_up_at_once() {
    let server = Server::start();
    let wheels: Vec<WheelFile> = (0..150)
        .map(|number| Wheel::new(&format!("part{number}"), "1.0").file(&format!("part{number}.py"), "").build())
        .collect();
    for wheel in &wheels {
        server.publish(wheel);
        server.answer(&format!("/simple/{}/", wheel.name), page_of(wheel));
    }
    let sandbox = Poetry::over(&server.index(), &wheels).sandbox();
    // No page comes before twenty are asked for.
    server.hold_until(20);
    sandbox.bundle(&["build", "app", "--jobs", "20"]).success();
    assert_eq!((server.requests(), server.most_in_flight()), (300, 20));
}

#[test]
fn cached_wheels_need_no_index() {
    let server = index();
    let sandbox = project(&server);
    sandbox.build("app");
    assert_eq!(server.requests(), 2);
    std::fs::remove_dir_all(sandbox.cache().join("v1/pages")).expect("pages were kept");
    sandbox.build("app");
    assert_eq!(server.requests(), 2);
    drop(server);
    sandbox.bundle(&["build", "app", "--offline"]).success();
    runs(&sandbox);
}

#[test]
fn a_page_is_believed_as_long_as_it_says() {
    for (cache_control, requests) in
        [("public, max-age=600", 1), ("max-age=0", 2), ("max-age=600, no-cache", 2), ("no-store, max-age=600", 2)]
    {
        let server = index();
        server.answer(PAGE, page_of(&thing()).header("cache-control", cache_control));
        let sandbox = project(&server);
        sandbox.build("app");
        forget_wheels(&sandbox);
        sandbox.build("app");
        assert_eq!(server.requests_at(PAGE).len(), requests, "{cache_control}");
        assert_eq!(pages(&sandbox).is_empty(), cache_control.contains("no-store"), "{cache_control}");
    }
    let server = index();
    server.answer(PAGE, page_of(&thing()).header("cache-control", "max-age=600").header("age", "600"));
    let sandbox = project(&server);
    sandbox.build("app");
    forget_wheels(&sandbox);
    sandbox.build("app");
    assert_eq!(server.requests_at(PAGE).len(), 2);
}

#[test]
fn a_page_that_has_not_changed_is_not_sent_again() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (header, value, asks) in [
        ("etag", "\"first\"", "if-none-match"),
        ("etag", "W/\"x\"", "if-none-match"),
        ("last-modified", DATE, "if-modified-since"),
    ] {
        let server = index();
        let unchanged = Reply::Answer(Answer::new(304));
        let fresh = Reply::Answer(Answer::new(304).header("cache-control", "max-age=600"));
        let first = Reply::Answer(page_of(&thing()).header(header, value));
        server.reply_at(PAGE, [first, unchanged, fresh]);
        let sandbox = project(&server);
        sandbox.build("app");
        forget_wheels(&sandbox);
        sandbox.build("app");
        runs(&sandbox);
        forget_wheels(&sandbox);
        sandbox.build("app");
        let asked: Vec<Option<String>> =
            server.requests_at(PAGE).iter().map(|request| request.header(asks).map(str::to_owned)).collect();
        assert_eq!(asked, [None, Some(value.to_owned()), Some(value.to_owned())]);
        // The last answer also said how long this holds.
        forget_wheels(&sandbox);
        sandbox.build("app");
        assert_eq!(server.requests_at(PAGE).len(), 3);
    }
}

#[test]
fn a_page_that_has_changed_replaces_the_kept_one() {
    let server = index();
    let old = json_page(&[(WHEEL, "/files/old.whl", &thing().sha256(), "")]).header("etag", "\"old\"");
    server.reply_at(PAGE, [Reply::Answer(old)]);
    let sandbox = project(&server);
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&["404"]);
    sandbox.build("app");
    assert_eq!(server.requests_at(PAGE)[1].header("if-none-match"), Some("\"old\""));
    runs(&sandbox);
}

#[test]
fn a_file_that_came_after_the_page_is_found() {
    let server = index();
    let before = json_page(&[]).header("cache-control", "max-age=600");
    server.reply_at(PAGE, [Reply::Answer(before)]);
    let sandbox = project(&server);
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&[WHEEL]);
    sandbox.build("app");
    assert_eq!(server.requests_at(PAGE).len(), 2);
    runs(&sandbox);
}

#[test]
fn a_damaged_page_counts_as_absent() {
    for damage in [&b""[..], b"{}", b"\xff\xfe", &[b'x'; 4096]] {
        let server = index();
        server.answer(PAGE, page_of(&thing()).header("cache-control", "max-age=600").header("etag", "\"x\""));
        let sandbox = project(&server);
        sandbox.build("app");
        let kept = pages(&sandbox);
        assert_eq!(kept.len(), 1);
        let mut bytes = std::fs::read(&kept[0]).expect("kept");
        // In the middle, so that what is left may still look like a page.
        let middle = bytes.len() / 2;
        bytes.splice(middle..middle + 10, damage.iter().copied());
        std::fs::write(&kept[0], bytes).expect("damaged");
        forget_wheels(&sandbox);
        sandbox.build("app");
        let requests = server.requests_at(PAGE);
        assert_eq!((requests.len(), requests[1].header("if-none-match")), (2, None));
        runs(&sandbox);
    }
}

#[test]
fn offline_says_whether_page_or_wheel_is_missing() {
    let server = index();
    let sandbox = project(&server);
    let finished = sandbox.bundle(&["build", "app", "--offline"]).fails_with(5);
    finished.says(&["--offline", "index pages of `thing`"]);
    assert_eq!(server.requests(), 0);

    server.answer(PAGE, page_of(&thing()).header("cache-control", "no-cache"));
    sandbox.build("app");
    forget_wheels(&sandbox);
    let finished = sandbox.bundle(&["build", "app", "--offline"]).fails_with(5);
    finished.says(&["wheels of `thing`"]);
    assert!(!finished.stderr.contains("index pages"), "{}", finished.stderr);

    // The kept page is used whatever its age: it leads to a mirror on this machine.
    let mirror = sandbox.path("mirror");
    std::fs::create_dir(&mirror).expect("mirror");
    std::fs::write(mirror.join(WHEEL), thing().bytes).expect("wheel");
    let mirror = format!("http://{}/files=file://{}", server.host(), mirror.display());
    sandbox.bundle(&["build", "app", "--offline", "--mirror", &mirror]).success();
    assert_eq!(server.requests(), 2);
    runs(&sandbox);
}

#[test]
fn a_yanked_file_is_used_with_a_warning() {
    let hash = thing().sha256();
    let json = |yanked: &str| json_page(&[(WHEEL, &format!("/files/{WHEEL}"), &hash, yanked)]);
    let html = format!("<a href=\"/files/{WHEEL}#sha256={hash}\" data-yanked=\"is &lt;broken&gt;\">x</a>");
    for (answer, says) in [
        (json(r#", "yanked": "is\n<broken>\u001b[31m""#), "because: is <broken> [31m"),
        (json(r#", "yanked": true"#), "without a reason"),
        (Answer::page(HTML, html), "because: is <broken>"),
    ] {
        let server = index();
        server.answer(PAGE, answer);
        let sandbox = project(&server);
        let finished = sandbox.bundle(&["build", "app"]).success();
        let warning = finished.line("warning: package ");
        assert!(warning.starts_with("`thing` 1.0 ") && warning.ends_with(says), "{warning}");
        runs(&sandbox);
    }
    let server = index();
    server.answer(PAGE, json(r#", "yanked": false, "requires-python": ">=3.8""#));
    let finished = project(&server).bundle(&["build", "app", "--verbose"]).success();
    assert!(!finished.stderr.contains("yanked"), "{}", finished.stderr);
    finished.says(&["for Python >=3.8"]);
}

#[test]
fn another_hash_on_the_index_is_refused_before_the_download() {
    let server = index();
    let locked = sha256(b"what was locked");
    let sandbox = Poetry::over(&server.index(), &[thing()]).locked_sha256(&locked).sandbox();
    let finished = sandbox.bundle(&["build", "app"]).fails_with(6);
    finished.says(&[WHEEL, "`thing`", &locked, &thing().sha256(), &server.host()]);
    assert_eq!(server.requests_for(WHEEL), 0);
}

#[test]
fn of_several_files_that_counts_whose_hash_is_locked() {
    let server = index();
    let locked = format!("/files/{WHEEL}");
    let other = sha256(b"uploaded later");
    server.answer(PAGE, json_page(&[(WHEEL, "/files/other.whl", &other, ""), (WHEEL, &locked, &thing().sha256(), "")]));
    project(&server).build("app");
    // Nor does the spelling matter, which is the index's.
    server.answer(PAGE, json_page(&[("Thing-1.0-py3-none-any.whl", &locked, &thing().sha256(), "")]));
    project(&server).build("app");
    // A name that leads elsewhere is just another name.
    server.answer(PAGE, json_page(&[(&format!("../{WHEEL}"), "/files/other.whl", &other, "")]));
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["is not on the index"]);
    assert_eq!(server.requests_for("other.whl"), 0);
}

#[test]
fn an_index_without_strong_hashes_is_not_believed() {
    for fragment in ["", "#md5=0123456789abcdef0123456789abcdef", "#sha256=abc"] {
        let server = index();
        server.answer(PAGE, Answer::page(HTML, format!("<a href='/files/{WHEEL}{fragment}'>x</a>")));
        let sandbox = project(&server);
        sandbox.build("app");
        runs(&sandbox);
        let locked = sha256(b"what was locked");
        let sandbox = Poetry::over(&server.index(), &[thing()]).locked_sha256(&locked).sandbox();
        sandbox.bundle(&["build", "app"]).fails_with(6).says(&[&locked, &thing().sha256()]);
    }
}

#[test]
fn a_server_may_not_name_files_of_this_machine() {
    let server = index();
    let sandbox = project(&server);
    let path = sandbox.path(WHEEL);
    std::fs::write(&path, thing().bytes).expect("wheel");
    let url = format!("file://{}", path.display());
    server.answer(PAGE, json_page(&[(WHEEL, &url, &thing().sha256(), "")]));
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&[WHEEL, "file of this machine"]);
    server.answer(PAGE, Answer::redirect(302, &url));
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&["redirects"]);
}

#[test]
fn what_is_tried_again_for_files_is_for_pages_too() {
    let server = index();
    server.reply_at(PAGE, [Reply::Status(503), Reply::RetryAfter(429, 0), Reply::Reset]);
    project(&server).build("app");
    assert!(server.requests_at(PAGE).len() >= 4);

    let server = index();
    server.reply_at(PAGE, [Reply::Truncated]);
    project(&server).build("app");

    let server = index();
    server.reply_at(PAGE, [Reply::RetryAfter(503, 100_000)]);
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["503", &server.host(), "page of package `thing`"]);
    assert_eq!(server.requests_at(PAGE).len(), 1);
}

// Credentials.

/// Expects that every request came with these credentials.
fn all_had(server: &Server, username: &str, password: &str) {
    let expected = Some(authorization(username, password));
    let credentials = server.credentials();
    assert!(!credentials.is_empty() && credentials.iter().all(|sent| *sent == expected), "{credentials:?}");
}

#[test]
fn credentials_come_from_the_lock_and_stay_secret() {
    for status in [401, 403] {
        let server = index();
        server.want("me", "p@ss:word", status);
        let host = server.host();
        let sandbox = Poetry::over(&format!("http://me:p%40ss%3Aword@{host}/simple"), &[thing()]).source("").sandbox();
        let finished = sandbox.bundle(&["build", "app", "--verbose"]).success();
        all_had(&server, "me", "p@ss:word");
        runs(&sandbox);
        for secret in ["p%40ss", "p@ss"] {
            assert!(!finished.stderr.contains(secret), "{}", finished.stderr);
            nowhere(&sandbox, secret, &["poetry.lock"]);
        }

        let wrong = Poetry::over(&format!("http://me:wr%6Fng-word@{host}/simple"), &[thing()]).source("").sandbox();
        let finished = wrong.bundle(&["build", "app", "--verbose"]).fails_with(5);
        finished.says(&[&status.to_string(), &host, "given those of the URL", "netrc"]);
        for secret in ["wr%6Fng", "wrong-word"] {
            assert!(!finished.stderr.contains(secret), "{}", finished.stderr);
            nowhere(&wrong, secret, &["poetry.lock"]);
        }
    }
}

#[test]
fn errors_do_not_say_credentials() {
    let server = index();
    server.want("me", "secret-word", 401);
    let host = server.host();
    let sandbox = Poetry::over(&format!("http://me:secret-word@{host}/simple"), &[thing()]).source("").sandbox();
    let fails = |status: i32| {
        let finished = sandbox.bundle(&["build", "app", "--verbose"]).fails_with(status);
        finished.says(&[&host]);
        assert!(!finished.stderr.contains("secret-word") && !finished.stderr.contains("me:"), "{}", finished.stderr);
    };
    for (answer, status) in [
        (Answer::page(JSON, "garbage"), 5),
        (Answer::new(404), 5),
        (Answer::new(400), 5),
        (Answer::redirect(302, "ftp://me:secret-word@other.test"), 5),
        (Answer::redirect(302, "http://me:secret-word@"), 5),
        (Answer::redirect(302, PAGE), 5),
        (json_page(&[(WHEEL, "/files/gone.whl", &thing().sha256(), "")]), 5),
        (json_page(&[(WHEEL, "/files/gone.whl", &sha256(b"other"), "")]), 6),
    ] {
        server.answer(PAGE, answer);
        fails(status);
    }
    drop(server);
    fails(5);
}

#[test]
fn uv_indexes_have_variables() {
    let server = index();
    server.want("user", "word", 401);
    let named = format!("[[tool.uv.index]]\nname = \"my-corp.2\"\nurl = \"{}\"\n", server.index());
    let sandbox = uv(&server, &named);
    let finished = sandbox.bundle(&["build", "app"]).fails_with(5);
    finished.says(&[
        "401",
        "given no credentials",
        "`UV_INDEX_MY_CORP_2_USERNAME`",
        "`UV_INDEX_MY_CORP_2_PASSWORD`",
        "netrc",
    ]);
    let run = |arguments: &[&str]| sandbox.bundle(arguments).env("UV_INDEX_MY_CORP_2_USERNAME", "user");
    run(&["build", "app"]).fails_with(5).says(&["`UV_INDEX_MY_CORP_2_…`"]);
    run(&["build", "app"]).env("UV_INDEX_MY_CORP_2_PASSWORD", "word").success();
    runs(&sandbox);

    let server = Server::start();
    server.want("", "token", 401);
    let sandbox = uv(&server, &format!("[[tool.uv.index]]\nname = \"x\"\nurl = \"{}\"\n", server.index()));
    sandbox.bundle(&["build", "app"]).env("UV_INDEX_X_PASSWORD", "token").success();
    all_had(&server, "", "token");
}

#[test]
fn a_member_has_the_indexes_of_its_workspace() {
    let server = Server::start();
    server.want("user", "word", 401);
    let project = Project::new()
        .member(Member::in_workspace("app").needs(&["thing"]).without_build_system())
        .package(Package::served(&server, &thing()))
        .configured_with(&format!("[[tool.uv.index]]\nname = \"corp\"\nurl = \"{}\"\n", server.index()));
    let sandbox = Sandbox::new(&project);
    let member = sandbox.project().join("packages/app");
    let run = sandbox.bundle(&["build", "app"]).current_dir(member);
    run.env("UV_INDEX_CORP_USERNAME", "user").env("UV_INDEX_CORP_PASSWORD", "word").success();
}

#[test]
fn poetry_sources_have_variables_and_a_file() {
    let server = index();
    server.want("user", "word", 401);
    let sandbox = project(&server);
    let finished = sandbox.bundle(&["build", "app"]).fails_with(5);
    finished.says(&["`POETRY_HTTP_BASIC_MY_CORP_INDEX_USERNAME`", "`POETRY_HTTP_BASIC_MY_CORP_INDEX_PASSWORD`"]);
    let variables = |sandbox: &Sandbox| {
        let run = sandbox.bundle(&["build", "app"]).env("POETRY_HTTP_BASIC_MY_CORP_INDEX_USERNAME", "user");
        run.env("POETRY_HTTP_BASIC_MY_CORP_INDEX_PASSWORD", "word")
    };
    variables(&sandbox).success();
    runs(&sandbox);

    let auth = "[http-basic]\n[http-basic.\"my-corp.index\"]\nusername = \"user\"\npassword = \"word\"\n";
    let home_path =
        if cfg!(target_os = "macos") { "home/Library/Application Support/pypoetry" } else { "home/.config/pypoetry" };
    for (directory, variable) in [(home_path, ""), ("xdg/pypoetry", "XDG_CONFIG_HOME"), ("own", "POETRY_CONFIG_DIR")] {
        if variable.starts_with("XDG") && cfg!(target_os = "macos") {
            continue;
        }
        let sandbox = project(&server);
        let write = |text: &str| {
            std::fs::create_dir_all(sandbox.path(directory)).expect("directory");
            std::fs::write(sandbox.path(directory).join("auth.toml"), text).expect("auth.toml");
        };
        let value = sandbox.path(directory.strip_suffix("/pypoetry").unwrap_or(directory));
        let run = || match variable {
            "" => sandbox.bundle(&["build", "app"]),
            _ => sandbox.bundle(&["build", "app"]).env(variable, &value),
        };
        write("not = [toml");
        run().fails_with(5);
        write(auth);
        run().success();
        // Variables count more.
        forget_wheels(&sandbox);
        write(&auth.replace("\"word\"", "\"old\""));
        run().fails_with(5).says(&["auth.toml"]);
        variables(&sandbox).success();
    }
}

#[test]
fn netrc_is_for_every_host_it_names() {
    let server = index();
    server.want("user", "two words", 401);
    let sandbox = project(&server);
    let write = |name: &str, text: &str| std::fs::write(sandbox.path(name), text).expect("netrc");
    let entry = "machine 127.0.0.1 login user password \"two words\"\n";
    write("home/.netrc", "machine other.test login user password \"two words\"\n");
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&["given no credentials", "machine 127.0.0.1"]);
    write("home/.netrc", entry);
    sandbox.bundle(&["build", "app"]).success();
    for (name, variable) in [("home/_netrc", ""), ("elsewhere", "NETRC")] {
        std::fs::remove_file(sandbox.path("home/.netrc")).ok();
        forget_wheels(&sandbox);
        write(name, entry);
        let run = sandbox.bundle(&["build", "app"]);
        if variable.is_empty() { run } else { run.env(variable, sandbox.path(name)) }.success();
    }
    // A user name that is known asks for its own password only.
    let other = Poetry::over(&format!("http://other@{}/simple", server.host()), &[thing()]).sandbox();
    std::fs::write(other.path("home/.netrc"), entry).expect("netrc");
    other.bundle(&["build", "app"]).fails_with(5);
    let same = Poetry::over(&format!("http://user@{}/simple", server.host()), &[thing()]).sandbox();
    std::fs::write(same.path("home/.netrc"), entry).expect("netrc");
    same.bundle(&["build", "app"]).success();
}

#[test]
fn another_port_gets_no_credentials() {
    let server = index();
    let other = Server::start();
    other.publish(&thing());
    let elsewhere = format!("http://{}", other.host());
    server.want("me", "secret", 401);
    let url = format!("http://me:secret@{}/simple", server.host());
    let build = || Poetry::over(&url, &[thing()]).sandbox().bundle(&["build", "app"]).success();

    // By a link, by the redirect of a file, and by that of a page.
    server.answer(PAGE, json_page(&[(WHEEL, &other.url(WHEEL), &thing().sha256(), "")]));
    build();
    server.answer(PAGE, page_of(&thing()));
    server.answer(&format!("/files/{WHEEL}"), Answer::redirect(302, &other.url(WHEEL)));
    build();
    other.answer("/page/", page_of(&thing()));
    server.answer(PAGE, Answer::redirect(307, &format!("{elsewhere}/page/")));
    build();
    assert_eq!(other.credentials(), [None, None, None, None]);
    all_had(&server, "me", "secret");

    // On its own origin a redirect keeps them.
    let server = index();
    server.want("me", "secret", 401);
    server.answer("/moved/", page_of(&thing()));
    server.answer(PAGE, Answer::redirect(308, "/moved/"));
    Poetry::over(&format!("http://me:secret@{}/simple", server.host()), &[thing()]).sandbox().build("app");
    all_had(&server, "me", "secret");
    assert_eq!(server.requests(), 3);
}

#[test]
fn another_host_gets_what_netrc_has_for_it() {
    let other = Server::start();
    other.publish(&thing());
    let server = index();
    // The same machine under another name.
    let elsewhere = other.url(WHEEL).replace("127.0.0.1", "localhost");
    server.answer(PAGE, json_page(&[(WHEEL, &elsewhere, &thing().sha256(), "")]));
    let sandbox = project(&server);
    let netrc = "machine localhost login files password word\n";
    std::fs::write(sandbox.path("home/.netrc"), netrc).expect("netrc");
    sandbox
        .bundle(&["build", "app"])
        .env("POETRY_HTTP_BASIC_MY_CORP_INDEX_USERNAME", "user")
        .env("POETRY_HTTP_BASIC_MY_CORP_INDEX_PASSWORD", "index")
        .success();
    all_had(&server, "user", "index");
    all_had(&other, "files", "word");
}

#[test]
fn a_page_for_some_is_not_shown_to_others() {
    let server = index();
    server.answer(PAGE, page_of(&thing()).header("cache-control", "max-age=600"));
    server.want("me", "secret", 401);
    let sandbox = project(&server);
    let run = |password: &str| {
        let run = sandbox.bundle(&["build", "app"]).env("POETRY_HTTP_BASIC_MY_CORP_INDEX_USERNAME", "me");
        run.env("POETRY_HTTP_BASIC_MY_CORP_INDEX_PASSWORD", password)
    };
    run("secret").success();
    forget_wheels(&sandbox);
    run("other").fails_with(5).says(&["page of package `thing`", "401"]);
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&["page of package `thing`", "401"]);
    run("secret").success();
    nowhere(&sandbox, "secret", &[]);
}

#[test]
fn a_page_with_credentials_in_its_links_is_not_kept() {
    let server = index();
    let link = format!("http://me:secret-word@{}/files/{WHEEL}", server.host());
    server.answer(PAGE, json_page(&[(WHEEL, &link, &thing().sha256(), "")]).header("cache-control", "max-age=600"));
    let sandbox = project(&server);
    sandbox.build("app");
    let of_file = &server.requests_at(&format!("/files/{WHEEL}"))[0];
    assert_eq!(of_file.header("authorization"), Some(authorization("me", "secret-word").as_str()));
    nowhere(&sandbox, "secret-word", &[]);
    assert!(pages(&sandbox).is_empty());
}

// Mirrors.

/// A project of uv's whose index exists only as a mirror.
fn closed_network(mirror: &Server) -> Sandbox {
    mirror.publish(&thing());
    let package = Package::unavailable("thing", "1.0").wheel("py3-none-any").locked_sha256(&thing().sha256());
    let package = package.locked_size(thing().bytes.len());
    let root = Member::root("app").needs(&["thing"]).without_build_system();
    Sandbox::new(&Project::new().member(root).package(package))
}

#[test]
fn files_come_from_a_mirror_by_flag_variable_or_configuration() {
    let server = Server::start();
    let sandbox = closed_network(&server);
    let mirror = format!("https://files.test=http://{}/files", server.host());
    let wrong = "https://files.test=http://127.0.0.1:1/wrong";
    sandbox.bundle(&["build", "app", "--mirror", &mirror]).env("BUNDLE_MIRROR", wrong).success();
    runs(&sandbox);
    // What is recorded is what the lock says.
    let artifact = std::fs::read(sandbox.artifact("app")).expect("artifact");
    let has = |text: &str| artifact.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!has(&server.host()), "the mirror is in the artifact");
    let plan = sandbox.bundle(&["plan", "app", "--json", "--mirror", &mirror]).success().json();
    assert_eq!(plan["targets"][0]["packages"][1]["url"], format!("https://files.test/{WHEEL}"));

    forget_wheels(&sandbox);
    sandbox
        .bundle(&["build", "app"])
        .env("BUNDLE_MIRROR", format!("https://a.test=https://b.test, {mirror}"))
        .success();

    forget_wheels(&sandbox);
    let pyproject = sandbox.project().join("pyproject.toml");
    let mut text = std::fs::read_to_string(&pyproject).expect("pyproject.toml");
    let _ = writeln!(text, "mirrors = {{ \"https://files.test\" = \"http://{}/files\" }}", server.host());
    std::fs::write(&pyproject, text).expect("pyproject.toml");
    sandbox.bundle(&["build", "app"]).success();
    forget_wheels(&sandbox);
    sandbox.bundle(&["build", "app"]).env("BUNDLE_MIRROR", wrong).fails_with(5).says(&["127.0.0.1:1"]);
}

#[test]
fn pages_and_redirects_are_mirrored_too() {
    let server = index();
    let link = format!("https://files.test/{WHEEL}");
    server.answer("/copy/thing/", json_page(&[(WHEEL, &link, &thing().sha256(), "")]));
    let mirrors = [
        format!("https://index.test/simple=http://{}/copy", server.host()),
        format!("https://files.test=http://{}/moved", server.host()),
        format!("https://cdn.test=http://{}/files", server.host()),
    ];
    server.answer(&format!("/moved/{WHEEL}"), Answer::redirect(302, &format!("https://cdn.test/{WHEEL}")));
    let sandbox = Poetry::over("https://index.test/simple", &[thing()]).sandbox();
    sandbox.bundle(&["build", "app"]).env("BUNDLE_MIRROR", mirrors.join(",")).success();
    runs(&sandbox);
}

#[test]
fn a_mirror_may_redirect_within_itself() {
    let server = Server::start();
    let sandbox = closed_network(&server);
    // A cache on the host that it caches: what is in it already is not rewritten again.
    server.answer(&format!("/cache/files/{WHEEL}"), Answer::redirect(302, &format!("/cache/blob/{WHEEL}")));
    server.answer(&format!("/cache/blob/{WHEEL}"), Answer::page("application/zip", thing().bytes));
    let origin = format!("http://{}", server.host());
    let mirrors = format!("https://files.test={origin}/cache/files,{origin}={origin}/cache");
    sandbox.bundle(&["build", "app"]).env("BUNDLE_MIRROR", mirrors).success();
    runs(&sandbox);
}

#[test]
fn the_lock_decides_what_a_mirror_may_serve() {
    let server = Server::start();
    let sandbox = closed_network(&server);
    let mut bytes = thing().bytes;
    bytes[40] ^= 1;
    server.answer(&format!("/files/{WHEEL}"), Answer::page("application/zip", bytes));
    let mirror = format!("https://files.test=http://{}/files", server.host());
    let finished = sandbox.bundle(&["build", "app", "--mirror", &mirror]).fails_with(6);
    finished.says(&[&format!("`{}` (mirror of `files.test`)", server.host()), &thing().sha256()]);
}

#[test]
fn a_mirror_has_credentials_of_its_own() {
    let server = Server::start();
    server.want("mirror", "word", 401);
    let sandbox = closed_network(&server);
    let pyproject = sandbox.project().join("pyproject.toml");
    let mut text = std::fs::read_to_string(&pyproject).expect("pyproject.toml");
    text.push_str("[[tool.uv.index]]\nname = \"corp\"\nurl = \"https://files.test/simple\"\n");
    std::fs::write(&pyproject, text).expect("pyproject.toml");
    let run = |mirror: String| {
        let run = sandbox.bundle(&["build", "app", "--mirror", &mirror]);
        run.env("UV_INDEX_CORP_USERNAME", "original").env("UV_INDEX_CORP_PASSWORD", "secret-word")
    };
    let finished = run(format!("https://files.test=http://{}/files", server.host())).fails_with(5);
    finished.says(&["401", "given no credentials", "mirror of `files.test`", "netrc"]);
    let finished = run(format!("https://files.test=http://mirror:wrong-word@{}/files", server.host())).fails_with(5);
    assert!(!finished.stderr.contains("wrong-word"), "{}", finished.stderr);
    run(format!("https://files.test=http://mirror:word@{}/files", server.host())).success();
    let original = authorization("original", "secret-word");
    assert!(!server.credentials().contains(&Some(original)), "{:?}", server.credentials());
}

#[test]
fn a_mirror_may_be_a_directory() {
    let sandbox = closed_network(&Server::start());
    let directory = sandbox.path("mirror");
    let mirror = format!("https://files.test=file://{}", directory.display());
    let build = || sandbox.bundle(&["build", "app", "--offline", "--mirror", &mirror]);
    build().fails_with(5).says(&[WHEEL, "`thing`", "mirror"]);
    std::fs::create_dir(&directory).expect("mirror");
    std::fs::write(directory.join(WHEEL), &thing().bytes[1..]).expect("wheel");
    build().fails_with(6).says(&[WHEEL, "this machine"]);
    std::fs::write(directory.join(WHEEL), thing().bytes).expect("wheel");
    build().success();
    runs(&sandbox);

    // An index in a directory: a page, or the files themselves.
    let page = format!("<a href=\"../../files/{WHEEL}#sha256={}\">x</a>", thing().sha256());
    let files: [(&str, Vec<u8>); 2] = [("index.html", page.into_bytes()), (WHEEL, thing().bytes)];
    for (name, bytes) in files {
        let sandbox = Poetry::over("https://index.test/simple", &[thing()]).sandbox();
        let write = |path: &str, bytes: &[u8]| {
            let path = sandbox.path(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
            std::fs::write(path, bytes).expect("file");
        };
        write(&format!("mirror/files/{WHEEL}"), &thing().bytes);
        write(&format!("mirror/simple/thing/{name}"), &bytes);
        let mirror = format!("https://index.test=file://{}", sandbox.path("mirror").display());
        sandbox.bundle(&["build", "app", "--offline", "--mirror", &mirror]).success();
        runs(&sandbox);
    }
}

#[test]
fn mirrors_that_make_no_sense_are_usage_errors() {
    let sandbox = closed_network(&Server::start());
    for value in
        ["https://files.test", "files.test=https://me:secret-word@b.test", "https://a.test=ftp://me:secret-word@b.test"]
    {
        for command in ["build", "plan"] {
            let finished = sandbox.bundle(&[command, "app", "--mirror", value]).fails_with(2);
            finished.says(&["`--mirror`", "hint: write it like `--mirror https://"]);
            assert!(!finished.stderr.contains("secret-word"), "{}", finished.stderr);
        }
        let finished = sandbox.bundle(&["build", "app"]).env("BUNDLE_MIRROR", value).fails_with(2);
        finished.says(&["`BUNDLE_MIRROR`", "hint: write it like `BUNDLE_MIRROR=https://"]);
    }
    let poetry = Poetry::over("https://index.test/simple", &[thing()]);
    let sandbox = poetry.configured_with("mirrors = { \"index.test\" = \"https://b.test\" }\n").sandbox();
    sandbox.bundle(&["build", "app"]).fails_with(3).says(&[
        "`mirrors`",
        "`index.test`",
        "hint: write it like `mirrors =",
    ]);
}

// Proxies and certificates.

#[test]
fn proxies_are_asked() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = index();
        let url = format!("http://{}", proxy.host());
        let sandbox = Poetry::over("http://index.test/simple", &[thing()]).sandbox();
        sandbox.bundle(&["build", "app"]).env(variable, &url).success();
        runs(&sandbox);
        let target = &proxy.requests_at(PAGE)[0].target;
        assert_eq!(target, "http://index.test/simple/thing/", "{variable}");
    }
    for variable in ["NO_PROXY", "no_proxy"] {
        let (server, proxy) = (index(), Server::start());
        let sandbox = project(&server);
        let run = sandbox.bundle(&["build", "app"]).env("HTTP_PROXY", format!("http://{}", proxy.host()));
        run.env(variable, "other.test,127.0.0.1").success();
        assert_eq!(proxy.requests(), 0, "{variable}");
    }
    // Encrypted connections go through it as they are.
    let proxy = Server::start();
    let sandbox = Poetry::over("https://index.test/simple", &[thing()]).sandbox();
    let run = sandbox.bundle(&["build", "app"]).env("HTTPS_PROXY", format!("http://me:secret-word@{}", proxy.host()));
    let finished = run.fails_with(5);
    finished.says(&["index.test"]);
    assert!(!finished.stderr.contains("secret-word"), "{}", finished.stderr);
    assert_eq!(proxy.requests_at("index.test:443").len(), proxy.requests());
}

/// A server with a certificate of an authority of its own, which is written to a file.
fn encrypted(authority: &Path) -> Server {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("key");
    let certificate = parameters.self_signed(&key).expect("certificate");
    std::fs::write(authority, certificate.pem()).expect("certificate");
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().expect("key");
    let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = parameters.signed_by(&key, &issuer).expect("certificate");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("TLS");
    let server = Server::start_tls(tls);
    server.publish(&thing());
    server.answer(PAGE, page_of(&thing()));
    server
}

#[test]
fn certificates_can_be_named() {
    let directory = tempfile::tempdir().expect("directory");
    let authority = directory.path().join("authority.pem");
    let server = encrypted(&authority);
    for (variable, value) in [("SSL_CERT_FILE", &*authority), ("SSL_CERT_DIR", directory.path())] {
        let sandbox = project(&server);
        sandbox.bundle(&["build", "app"]).env(variable, value).success();
        runs(&sandbox);
    }
    let before = server.requests();
    let finished = project(&server).bundle(&["build", "app"]).fails_with(5);
    finished.says(&["certificate", &server.host(), "hint: ", "`SSL_CERT_FILE`"]);
    for unusable in ["missing.pem", "empty.pem"] {
        let path = directory.path().join(unusable);
        if unusable.starts_with("empty") {
            std::fs::write(&path, "").expect("file");
        }
        project(&server).bundle(&["build", "app"]).env("SSL_CERT_FILE", path).fails_with(5).says(&["`SSL_CERT_FILE`"]);
    }
    assert_eq!(server.requests(), before);
}

#[test]
fn encryption_is_not_given_up() {
    let directory = tempfile::tempdir().expect("directory");
    let authority = directory.path().join("authority.pem");
    let (server, plain) = (encrypted(&authority), index());
    let fails = |says: &str| {
        let sandbox = project(&server);
        let finished = sandbox.bundle(&["build", "app"]).env("SSL_CERT_FILE", &authority).fails_with(5);
        finished.says(&["redirects from `https` to `http`", &plain.host(), says]);
        assert_eq!(plain.requests(), 0);
    };
    server.answer(&format!("/files/{WHEEL}"), Answer::redirect(302, &plain.url(WHEEL)));
    fails("cannot download");
    server.answer(PAGE, Answer::redirect(301, &format!("{}/thing/", plain.index())));
    fails("cannot read the page");

    // The other way round is welcome.
    let server = encrypted(&authority);
    plain.answer(PAGE, Answer::redirect(301, &format!("{}/thing/", server.index())));
    project(&plain).bundle(&["build", "app"]).env("SSL_CERT_FILE", &authority).success();
}

// Bad input.

#[test]
fn redirects_come_to_an_end() {
    let server = index();
    server.answer(PAGE, Answer::redirect(302, PAGE));
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["redirects more than", "page of package `thing`"]);
    let requests = server.requests();
    assert!((2..30).contains(&requests), "{requests} requests");

    let server = index();
    server.answer(&format!("/files/{WHEEL}"), Answer::redirect(302, &format!("/files/{WHEEL}")));
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["redirects more than", WHEEL]);

    let server = index();
    server.answer(PAGE, Answer::new(302));
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["302"]);
}

#[test]
fn a_page_without_end_is_not_read() {
    let server = index();
    let announced = Answer::page(JSON, "{").header("content-length", (65_u64 << 20).to_string());
    server.reply_at(PAGE, [Reply::Answer(announced)]);
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["more than 67108864 bytes"]);
    assert_eq!(server.requests(), 1);

    let server = index();
    server.reply_at(PAGE, [Reply::Endless(vec![("content-type", JSON.to_owned())], vec![b' '; 1 << 16])]);
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["more than 67108864 bytes"]);
    assert_eq!(server.requests(), 1);
}

#[test]
fn compressed_pages_are_read_and_bombs_are_not() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("compressed");
        encoder.finish().expect("compressed")
    };
    let link = format!("<a href='/files/{WHEEL}#sha256={}'>x</a>", thing().sha256());
    let page = |bytes: Vec<u8>| Answer::page(HTML, bytes).header("content-encoding", "gzip");
    let server = index();
    server.answer(PAGE, page(gzip(link.as_bytes())));
    project(&server).build("app");
    assert_eq!(server.requests_at(PAGE)[0].header("accept-encoding"), Some("gzip"));
    let of_file = &server.requests_at(&format!("/files/{WHEEL}"))[0];
    assert_eq!(of_file.header("accept-encoding"), Some("identity"));

    let mut cut = gzip(link.as_bytes());
    cut.truncate(20);
    server.answer(PAGE, page(cut));
    project(&server).bundle(&["build", "app"]).fails_with(5).says(&["not compressed as announced"]);

    // 8 GB, of which no more than a hundredth is ever in memory: the process may have 2 GB of addresses.
    let bomb = gzip(&vec![b' '; 16 << 20]).repeat(512);
    server.answer(PAGE, page(bomb));
    let sandbox = project(&server);
    let script = format!("ulimit -v 2000000; exec {} build app --jobs 1", env!("CARGO_BIN_EXE_bundle"));
    let run = sandbox.run("sh").args(["-c", &script]).current_dir(sandbox.project());
    run.fails_with(5).says(&["more than 67108864 bytes"]);
}

#[test]
fn a_large_page_is_read() {
    let server = index();
    let mut body = String::from("<!DOCTYPE html><html><body>\n");
    while body.len() < 3 << 20 {
        let hash = sha256(body.len().to_string().as_bytes());
        let _ = writeln!(body, "<a href=\"/files/thing-0.{}.tar.gz#sha256={hash}\">thing</a><br/>", body.len());
    }
    let _ = writeln!(body, "<a href=\"/files/{WHEEL}#sha256={}\">thing</a></body></html>", thing().sha256());
    server.answer(PAGE, Answer::page(HTML, body).header("cache-control", "max-age=600"));
    let sandbox = project(&server);
    sandbox.build("app");
    forget_wheels(&sandbox);
    sandbox.build("app");
    assert_eq!(server.requests_at(PAGE).len(), 1);
}
