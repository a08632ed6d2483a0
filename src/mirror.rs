//! Mirrors: other places for what is below some URL, for networks that are closed or slow.
//!
//! Invariant: a URL is rewritten once, before it is asked for; the lock, plans and build records keep the original.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::credentials::{Credentials, take_credentials, without_credentials};
use crate::error::{Diagnose, ExitStatus};

/// Where a mirror was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorOrigin {
    /// `--mirror`.
    Flag,
    /// `BUNDLE_MIRROR`.
    Variable,
    /// `[tool.bundle] mirrors`.
    Configuration,
}

impl fmt::Display for MirrorOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "`--mirror`",
            Self::Variable => "`BUNDLE_MIRROR`",
            Self::Configuration => "`mirrors` in the configuration",
        })
    }
}

/// Why a mirror makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{origin} has `{value}`, {reason}")]
pub struct MirrorError {
    origin: MirrorOrigin,
    /// What was written, without credentials.
    value: String,
    reason: &'static str,
}

impl Diagnose for MirrorError {
    fn exit_status(&self) -> ExitStatus {
        match self.origin {
            MirrorOrigin::Flag | MirrorOrigin::Variable => ExitStatus::Usage,
            MirrorOrigin::Configuration => ExitStatus::Project,
        }
    }

    fn hint(&self) -> Option<String> {
        let example = ("https://index.example/simple", "https://mirror.example/simple");
        Some(match self.origin {
            MirrorOrigin::Flag => format!("write it like `--mirror {}={}`", example.0, example.1),
            MirrorOrigin::Variable => {
                format!("write it like `BUNDLE_MIRROR={}={}`, several with commas between", example.0, example.1)
            }
            MirrorOrigin::Configuration => {
                format!("write it like `mirrors = {{ \"{}\" = \"{}\" }}`", example.0, example.1)
            }
        })
    }
}

/// The mirrors in use, by the prefix that each replaces.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    /// Longest prefix first.
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone)]
struct Mirror {
    /// Without credentials, query, fragment and final slash.
    from: Url,
    /// Likewise.
    to: Url,
    credentials: Option<Credentials>,
}

/// Where something is to be asked for.
#[derive(Debug, Clone)]
pub enum Place {
    /// At a URL without credentials.
    Http(Url),
    /// In a file or directory.
    File(PathBuf),
}

impl Mirrors {
    /// Brings mirrors together; for one prefix the command line counts before the variable, and that before the
    /// configuration.
    pub fn new(
        flags: &[String],
        variable: Option<&str>,
        configured: &BTreeMap<String, String>,
    ) -> Result<Self, MirrorError> {
        let mut mirrors: Vec<Mirror> = Vec::new();
        let variable = variable.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        let pairs = flags
            .iter()
            .map(|text| Mirror::parse(text, MirrorOrigin::Flag))
            .chain(variable.filter(|text| !text.is_empty()).map(|text| Mirror::parse(text, MirrorOrigin::Variable)));
        let configured = configured.iter().map(|(from, to)| Mirror::new(from, to, MirrorOrigin::Configuration));
        for mirror in pairs.chain(configured) {
            let mirror = mirror?;
            if mirrors.iter().all(|other| other.from != mirror.from) {
                mirrors.push(mirror);
            }
        }
        mirrors.sort_by_key(|mirror| std::cmp::Reverse(mirror.from.as_str().len()));
        Ok(Self { mirrors })
    }

    /// Where a URL without credentials is to be asked for instead, if it has a mirror, and the mirror's credentials.
    pub fn place_of(&self, url: &Url) -> Option<(Place, Option<&Credentials>)> {
        self.mirrors.iter().find_map(|mirror| Some((mirror.place_of(url)?, mirror.credentials.as_ref())))
    }

    /// Whether a URL is on a mirror already, where a redirect may lead.
    pub fn have(&self, url: &Url) -> bool {
        self.mirrors.iter().any(|mirror| rest_below(url, &mirror.to).is_some())
    }
}

impl Mirror {
    fn parse(text: &str, origin: MirrorOrigin) -> Result<Self, MirrorError> {
        // A URL may have an equals sign in it; what follows the right one has a scheme.
        let split = text.match_indices('=').find(|(position, _)| {
            ["http://", "https://", "file://"].iter().any(|scheme| text[position + 1..].starts_with(scheme))
        });
        match split {
            Some((position, _)) => Self::new(&text[..position], &text[position + 1..], origin),
            None => {
                let value = text.split('=').map(without_credentials).collect::<Vec<_>>().join("=");
                Err(MirrorError { origin, value, reason: "expected two URLs with `=` between them" })
            }
        }
    }

    fn new(from: &str, to: &str, origin: MirrorOrigin) -> Result<Self, MirrorError> {
        let error = |value: &str, reason| MirrorError { origin, value: without_credentials(value), reason };
        let prefix = |text: &str| {
            let mut url =
                Url::parse(text.trim()).ok().filter(|url| url.query().is_none() && url.fragment().is_none())?;
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            Some(url)
        };
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https");
        let (from_url, _) = prefix(from)
            .filter(is_http)
            .map(take_credentials)
            .ok_or_else(|| error(from, "expected a URL that starts with `https://` or `http://`"))?;
        let is_directory = |url: &Url| url.scheme() == "file" && url.to_file_path().is_ok();
        let (to_url, credentials) = prefix(to)
            .filter(|url| is_http(url) || is_directory(url))
            .map(take_credentials)
            .ok_or_else(|| error(to, "expected a URL that starts with `https://`, `http://` or `file:///`"))?;
        Ok(Self { from: from_url, to: to_url, credentials })
    }

    fn place_of(&self, url: &Url) -> Option<Place> {
        let rest = rest_below(url, &self.from)?;
        let mut target = self.to.clone();
        target.set_path(&format!("{}{rest}", self.to.path().trim_end_matches('/')));
        if self.to.scheme() == "file" {
            // The parser has resolved `..`, but `%2F` and `%2e%2e` become parts of a path only here.
            let path = target.to_file_path().ok()?;
            let root = self.to.to_file_path().ok()?;
            let inside = path.starts_with(&root)
                && path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
            return inside.then_some(Place::File(path));
        }
        target.set_query(url.query());
        Some(Place::Http(target))
    }
}

/// The end of a URL's path, if it is below another one.
fn rest_below<'a>(url: &'a Url, prefix: &Url) -> Option<&'a str> {
    if url.origin() != prefix.origin() {
        return None;
    }
    let rest = url.path().strip_prefix(prefix.path().trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(flags: &[&str]) -> Mirrors {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        Mirrors::new(&flags, None, &BTreeMap::new()).expect("mirrors")
    }

    fn place(mirrors: &Mirrors, url: &str) -> Option<String> {
        mirrors.place_of(&Url::parse(url).expect("URL")).map(|(place, credentials)| match place {
            Place::Http(url) => {
                let user = credentials.map_or_else(String::new, |found| format!("{} at ", found.username()));
                format!("{user}{url}")
            }
            Place::File(path) => path.display().to_string(),
        })
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        let one = mirrors(&["https://index.test/simple=http://mirror.test:8080/a"]);
        let expected = Some("http://mirror.test:8080/a/thing/".to_owned());
        assert_eq!(place(&one, "https://index.test/simple/thing/"), expected);
        assert_eq!(place(&one, "https://index.test:443/simple/thing/"), expected);
        assert_eq!(place(&one, "https://index.test/simple").as_deref(), Some("http://mirror.test:8080/a"));
        assert_eq!(place(&one, "https://index.test/simple?x=1").as_deref(), Some("http://mirror.test:8080/a?x=1"));
        for other in ["https://index.test/simpler/x", "http://index.test/simple/x", "https://index.test:8443/simple/x"]
        {
            assert_eq!(place(&one, other), None, "{other}");
        }
        let whole = mirrors(&["https://index.test/=http://mirror.test/"]);
        assert_eq!(place(&whole, "https://index.test/a/b").as_deref(), Some("http://mirror.test/a/b"));
    }

    #[test]
    fn the_longest_prefix_wins() {
        let several = mirrors(&["https://a.test=http://short.test", "https://a.test/x/y=http://long.test"]);
        assert_eq!(place(&several, "https://a.test/x/y/z").as_deref(), Some("http://long.test/z"));
        assert_eq!(place(&several, "https://a.test/x/yy").as_deref(), Some("http://short.test/x/yy"));
    }

    #[test]
    fn for_one_prefix_the_command_line_counts_first() {
        let flags = ["https://a.test=http://flag.test".to_owned()];
        let variable = "https://a.test/=http://variable.test, https://b.test=http://variable.test,";
        let configured = ["a", "b", "c"].map(|name| (format!("https://{name}.test"), "http://file.test".to_owned()));
        let all = Mirrors::new(&flags, Some(variable), &BTreeMap::from(configured)).expect("mirrors");
        assert_eq!(place(&all, "https://a.test/x").as_deref(), Some("http://flag.test/x"));
        assert_eq!(place(&all, "https://b.test/x").as_deref(), Some("http://variable.test/x"));
        assert_eq!(place(&all, "https://c.test/x").as_deref(), Some("http://file.test/x"));
    }

    #[test]
    fn credentials_are_those_of_the_mirror() {
        let one = mirrors(&["https://old:word@a.test=https://me:p%40ss@b.test/c"]);
        assert_eq!(place(&one, "https://a.test/x").as_deref(), Some("me at https://b.test/c/x"));
    }

    #[test]
    fn a_directory_is_not_left() {
        let one = mirrors(&["https://a.test/simple=file:///srv/wheels"]);
        assert_eq!(place(&one, "https://a.test/simple/x%2By/").as_deref(), Some("/srv/wheels/x+y/"));
        assert_eq!(place(&one, "https://a.test/simple/..%2f..%2fetc/passwd"), None);
        assert_eq!(place(&one, "https://a.test/simple/../other"), None);
    }

    #[test]
    fn values_that_make_no_sense_are_shown_without_credentials() {
        for (value, shown) in [
            ("https://a.test", "https://a.test"),
            ("https://me:secret@a.test=ftp://me:secret@b.test", "https://a.test=ftp://b.test"),
            ("index=https://b.test", "index"),
            ("https://a.test?x=https://b.test", "https://a.test?x"),
            ("https://a.test=https://me:sec/ret@b.test", "…@b.test"),
        ] {
            let error = Mirrors::new(&[value.to_owned()], None, &BTreeMap::new()).expect_err(value);
            assert!(error.to_string().contains(&format!("`{shown}`")), "{error}");
            assert!(!error.to_string().contains("sec"), "{error}");
        }
    }
}
