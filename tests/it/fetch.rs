//! Downloads: what is checked, what is tried again, what is remembered.

use std::time::{Duration, Instant};

use crate::support::run::files_below;
use crate::support::{Member, Package, Project, Reply, Sandbox, Server, Wheel, demo, sha256};

const WHEEL: &str = "thing-1.0-py3-none-any.whl";

fn thing() -> Wheel {
    Wheel::new("thing", "1.0").file("thing.py", "WORD = 'fetched'\n")
}

/// A project that needs one wheel.
fn sandbox(server: &Server) -> Sandbox {
    Sandbox::new(&demo::over(server, &[thing()]))
}

fn with_package(package: Package) -> Sandbox {
    Sandbox::new(&Project::new().member(Member::root("app").needs(&["thing"]).without_build_system()).package(package))
}

/// Wheels in the cache.
fn cached(sandbox: &Sandbox) -> Vec<String> {
    let files = files_below(&sandbox.cache());
    files.iter().map(|path| path.display().to_string()).filter(|path| path.ends_with(WHEEL)).collect()
}

fn runs(sandbox: &Sandbox) {
    let artifact = sandbox.artifact("app");
    sandbox.run(artifact).args(["-c", "import thing; print(thing.WORD)"]).success().prints("fetched");
}

#[test]
fn wheels_are_downloaded_at_once_but_not_more_than_allowed() {
    let wheels: Vec<Wheel> = (0..8)
        .map(|number| Wheel::new(&format!("part{number}"), "1.0").file(&format!("part{number}.py"), ""))
        .collect();
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &wheels));
    // No response comes before three requests are in flight, so that one at a time would not get far.
    server.hold_until(3);
    sandbox.bundle(&["build", "app", "--jobs", "3"]).success();
    assert_eq!(server.most_in_flight(), 3);
    assert_eq!(server.requests(), wheels.len());

    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &wheels));
    sandbox.bundle(&["build", "app", "--jobs", "1"]).success();
    assert_eq!(server.most_in_flight(), 1);
}

#[test]
fn a_second_build_downloads_nothing() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    sandbox.build("app");
    assert_eq!(server.requests(), 1);
    sandbox.build("app");
    std::fs::remove_dir_all(sandbox.project().join("dist")).expect("removed");
    sandbox.build("app");
    assert_eq!(server.requests(), 1);
    runs(&sandbox);
}

#[test]
fn what_is_cached_needs_no_network() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    sandbox.build("app");
    drop(server);
    std::fs::remove_dir_all(sandbox.project().join("dist")).expect("removed");
    sandbox.build("app");
    runs(&sandbox);
}

#[test]
fn offline_uses_the_cache_and_asks_nobody() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[thing(), demo::greet()]));
    let finished = sandbox.bundle(&["build", "app", "--offline"]).fails_with(5);
    finished.says(&["greet", "thing", "--offline", "hint: "]);
    assert_eq!(server.requests(), 0);
    assert!(!sandbox.artifact("app").exists());

    sandbox.build("app");
    let requests = server.requests();
    std::fs::remove_dir_all(sandbox.project().join("dist")).expect("removed");
    sandbox.bundle(&["build", "app", "--offline"]).success();
    assert_eq!(server.requests(), requests);
    runs(&sandbox);
}

#[test]
fn a_wrong_hash_is_refused() {
    let server = Server::start();
    let expected = sha256(b"what was locked");
    let sandbox = with_package(Package::served(&server, &thing().build()).locked_sha256(&expected));
    let finished = sandbox.bundle(&["build", "app"]).fails_with(6);
    finished.says(&["thing", &expected, &thing().build().sha256(), &server.host()]);
    assert!(cached(&sandbox).is_empty(), "{:?}", cached(&sandbox));
    assert!(!sandbox.artifact("app").exists());
}

#[test]
fn other_bytes_of_the_same_length_are_refused() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    let mut bytes = thing().build().bytes;
    bytes[40] ^= 1;
    server.reply(WHEEL, std::iter::repeat_n(Reply::Bytes(bytes.clone()), 10));
    sandbox.bundle(&["build", "app"]).fails_with(6).says(&["thing", &sha256(&bytes), &thing().build().sha256()]);
    assert!(cached(&sandbox).is_empty(), "{:?}", cached(&sandbox));
}

#[test]
fn another_size_is_refused() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    let mut bytes = thing().build().bytes;
    bytes.push(0);
    server.reply(WHEEL, std::iter::repeat_n(Reply::Bytes(bytes), 10));
    sandbox.bundle(&["build", "app"]).fails_with(6).says(&["thing"]);
    assert!(cached(&sandbox).is_empty(), "{:?}", cached(&sandbox));

    let server = Server::start();
    let wrong_size = with_package(Package::served(&server, &thing().build()).locked_size(7));
    wrong_size.bundle(&["build", "app"]).fails_with(6).says(&["thing", "7"]);
    assert!(cached(&wrong_size).is_empty(), "{:?}", cached(&wrong_size));
}

#[test]
fn a_truncated_download_is_tried_again() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, [Reply::Truncated]);
    sandbox.build("app");
    assert_eq!(server.requests_for(WHEEL), 2);
    runs(&sandbox);
}

#[test]
fn a_closed_connection_is_tried_again() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, [Reply::Reset]);
    sandbox.build("app");
    assert!(server.requests_for(WHEEL) >= 2);
    runs(&sandbox);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, [Reply::Status(503), Reply::Status(502)]);
    sandbox.build("app");
    assert_eq!(server.requests_for(WHEEL), 3);
    runs(&sandbox);
}

#[test]
fn a_server_that_says_when_to_come_back_is_not_asked_before() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, [Reply::RetryAfter(429, 2)]);
    let started = Instant::now();
    sandbox.build("app");
    assert_eq!(server.requests_for(WHEEL), 2);
    assert!(started.elapsed() >= Duration::from_secs(2), "it came back too early");
    runs(&sandbox);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, std::iter::repeat_n(Reply::Status(503), 100));
    let finished = sandbox.bundle(&["build", "app"]).fails_with(5);
    finished.says(&["thing", &server.host(), "503"]);
    let requests = server.requests_for(WHEEL);
    assert!((2..100).contains(&requests), "{requests} requests");
    assert!(cached(&sandbox).is_empty(), "{:?}", cached(&sandbox));
}

#[test]
fn a_wheel_that_is_gone_is_not_asked_for_again() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    server.reply(WHEEL, std::iter::repeat_n(Reply::Status(404), 100));
    let finished = sandbox.bundle(&["build", "app"]).fails_with(5);
    finished.says(&[WHEEL, &server.host(), "404"]);
    assert_eq!(server.requests_for(WHEEL), 1);
    assert!(!sandbox.artifact("app").exists());
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    let host = server.host();
    drop(server);
    sandbox.bundle(&["build", "app"]).fails_with(5).says(&["thing", &host]);
}

#[test]
fn a_wheel_without_promises_is_fetched() {
    let server = Server::start();
    let sandbox = with_package(Package::served(&server, &thing().build()).without_promises());
    sandbox.build("app");
    runs(&sandbox);
}

#[test]
fn a_damaged_cache_is_noticed() {
    let server = Server::start();
    let sandbox = sandbox(&server);
    sandbox.build("app");
    for path in cached(&sandbox) {
        let path = sandbox.cache().join(path);
        let bytes = std::fs::read(&path).expect("cached");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("damaged");
    }
    std::fs::remove_dir_all(sandbox.project().join("dist")).expect("removed");
    sandbox.build("app");
    assert_eq!(server.requests_for(WHEEL), 2);
    runs(&sandbox);
}

#[test]
fn a_killed_build_leaves_nothing_that_counts() {
    let server = Server::start();
    let sandbox = Sandbox::new(&demo::over(&server, &[thing(), demo::greet()]));
    // More than there are wheels: the build waits until it is killed.
    server.hold_until(3);
    let mut child = sandbox.bundle(&["build", "app", "--quiet"]).into_command().spawn().expect("started");
    while server.requests() < 2 && child.try_wait().expect("child").is_none() {
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(!sandbox.artifact("app").exists());
    server.hold_until(0);
    sandbox.build("app");
    runs(&sandbox);
}

#[test]
fn builds_at_once_share_a_cache() {
    let server = Server::start();
    let project = demo::over(&server, &[thing(), demo::greet(), demo::native()]);
    let (first, second) = (Sandbox::new(&project), Sandbox::new(&project));
    let start = |sandbox: &Sandbox| {
        let run = sandbox.bundle(&["build", "app", "--quiet"]).env("BUNDLE_CACHE_DIR", first.cache());
        run.into_command().spawn().expect("started")
    };
    for mut child in [start(&first), start(&second), start(&first), start(&second)] {
        assert!(child.wait().expect("ended").success());
    }
    runs(&first);
    runs(&second);
}
