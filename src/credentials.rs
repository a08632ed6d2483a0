//! Who we are to an index: user names and passwords, and which server they are for.
//!
//! Invariants: credentials go to their own origin (scheme, host and port) and nowhere else; nothing in this module
//! prints them.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::netrc::Netrc;
use crate::project::{ConfiguredIndex, IndexTool};

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    password: String,
    source: CredentialSource,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Credentials {
    fn new(username: impl Into<String>, password: impl Into<String>, source: CredentialSource) -> Self {
        Self { username: username.into(), password: password.into(), source }
    }

    /// The user name, which may be empty.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, which may be empty.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where they were found.
    pub fn source(&self) -> &CredentialSource {
        &self.source
    }
}

/// Where credentials were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// In the URL of a file, an index or a mirror.
    Url,
    /// In these variables.
    Variables(String),
    /// In Poetry's `auth.toml`.
    PoetryAuth,
    /// In the `netrc` file.
    Netrc,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL"),
            Self::Variables(name) => write!(f, "`{name}_…`"),
            Self::PoetryAuth => f.write_str("Poetry's `auth.toml`"),
            Self::Netrc => f.write_str("the `netrc` file"),
        }
    }
}

/// A URL without user name and password, and these.
pub fn take_credentials(mut url: Url) -> (Url, Option<Credentials>) {
    if url.username().is_empty() && url.password().is_none() {
        return (url, None);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials =
        Credentials::new(decoded(url.username()), decoded(url.password().unwrap_or_default()), CredentialSource::Url);
    // These fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, Some(credentials))
}

/// A URL as it may be printed and written: without user name and password. Over SSH a user name is part of the
/// address.
pub fn without_credentials(url: &str) -> String {
    // In what is no URL, a password may be anywhere before an `@`: with a `/` in it, say.
    if let Some((_, rest)) = url.rsplit_once('@').filter(|_| Url::parse(url).is_err()) {
        return format!("…@{rest}");
    }
    // What stands between `//` and the last `@` before the path; a parser would also normalise the rest.
    let Some(start) = url.find("//").map(|position| position + 2) else { return url.to_owned() };
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |length| start + length);
    match url[start..end].rsplit_once('@') {
        Some((user, host)) if !url[..start].ends_with("ssh://") || user.contains(':') => {
            format!("{}{host}{}", &url[..start], &url[end..])
        }
        _ => url.to_owned(),
    }
}

/// What the names of an index's variables start with.
fn variables(index: &ConfiguredIndex) -> Option<String> {
    let name = index.name.as_deref()?;
    Some(match index.tool {
        // <https://docs.astral.sh/uv/concepts/indexes/#providing-credentials-directly>
        IndexTool::Uv => {
            let upper =
                |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
            format!("UV_INDEX_{}", name.chars().map(upper).collect::<String>())
        }
        // <https://python-poetry.org/docs/repositories/#configuring-credentials>
        IndexTool::Poetry => format!("POETRY_HTTP_BASIC_{}", name.to_uppercase().replace(['.', '-'], "_")),
    })
}

/// All credentials there are, by server.
#[derive(Debug, Default)]
pub struct CredentialStore {
    indexes: Vec<KnownIndex>,
    netrc: Netrc,
}

#[derive(Debug)]
struct KnownIndex {
    /// Without credentials.
    url: Url,
    /// What the names of its variables start with.
    variables: Option<String>,
    credentials: Option<Credentials>,
}

impl CredentialStore {
    /// Looks in the variables, in Poetry's configuration and in `netrc`, which are files that may be missing.
    pub fn new(indexes: &[ConfiguredIndex]) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let read = |path: PathBuf| std::fs::read_to_string(path).ok();
        let auth = poetry_directory(&variable, home.as_deref()).and_then(|path| read(path.join("auth.toml")));
        let netrc = match variable("NETRC") {
            Some(path) => read(path.into()),
            None => home.and_then(|home| read(home.join(".netrc")).or_else(|| read(home.join("_netrc")))),
        };
        Self::from_parts(indexes, &variable, auth.as_deref(), netrc.as_deref())
    }

    fn from_parts(
        indexes: &[ConfiguredIndex],
        variable: &dyn Fn(&str) -> Option<String>,
        poetry_auth: Option<&str>,
        netrc: Option<&str>,
    ) -> Self {
        // What cannot be read holds no credentials; the server then says that it wants some.
        let auth: toml::Table = poetry_auth.and_then(|text| text.parse().ok()).unwrap_or_default();
        let of_environment = indexes_of_environment(variable);
        let indexes = indexes.iter().chain(&of_environment).filter_map(|index| {
            let (url, in_url) = take_credentials(Url::parse(&index.url).ok()?);
            let variables = variables(index);
            let in_variables = variables.as_deref().and_then(|start| from_variables(start, variable));
            let in_auth = || {
                let name = index.name.as_deref().filter(|_| index.tool == IndexTool::Poetry)?;
                from_poetry_auth(&auth, name)
            };
            let credentials = in_variables.map(|found| completed(found, in_url.as_ref()));
            let credentials = credentials.or(in_url).or_else(in_auth);
            Some(KnownIndex { url, variables, credentials })
        });
        Self { indexes: indexes.collect(), netrc: netrc.map(Netrc::parse).unwrap_or_default() }
    }

    /// The credentials for a URL, of which `own` stood in it.
    ///
    /// An index's credentials are for everything on its origin: files lie beside the index, not below it. Where one
    /// origin has several indexes, that counts which the URL is below, then the one named by `index`, the URL of
    /// the index that the file belongs to.
    pub fn find(&self, url: &Url, own: Option<&Credentials>, index: Option<&Url>) -> Option<Credentials> {
        let (index, of_index_url) = index.cloned().map(take_credentials).unzip();
        let same_origin = index.as_ref().is_some_and(|index| index.origin() == url.origin());
        let in_url = own.cloned().or_else(|| of_index_url.flatten().filter(|_| same_origin));
        match in_url {
            // A user name alone asks for its password elsewhere.
            Some(given) if given.password.is_empty() => {
                let known = self.known(url, index.as_ref(), Some(&given.username));
                Some(known.unwrap_or(given))
            }
            Some(given) => Some(given),
            None => self.known(url, index.as_ref(), None),
        }
    }

    fn known(&self, url: &Url, index: Option<&Url>, username: Option<&str>) -> Option<Credentials> {
        let suits = |found: &&Credentials| {
            username.is_none_or(|username| found.username == username || found.username.is_empty())
        };
        let of_index = self.candidates(url, index).find_map(|known| known.credentials.as_ref().filter(suits));
        let of_index = of_index.map(|found| {
            let username = username.unwrap_or(&found.username);
            Credentials::new(username, found.password.clone(), found.source.clone())
        });
        if of_index.as_ref().is_some_and(|found| !found.password.is_empty()) {
            return of_index;
        }
        let username = username.or(of_index.as_ref().map(Credentials::username));
        let of_netrc = self.netrc.login(url.host_str()?, username);
        let of_netrc = of_netrc.map(|(login, password)| Credentials::new(login, password, CredentialSource::Netrc));
        of_netrc.or(of_index)
    }

    /// The indexes on the URL's origin, the one that it most likely belongs to first.
    fn candidates(&self, url: &Url, index: Option<&Url>) -> impl Iterator<Item = &KnownIndex> {
        let mut candidates: Vec<&KnownIndex> =
            self.indexes.iter().filter(|known| known.url.origin() == url.origin()).collect();
        candidates.sort_by_key(|known| {
            let depth = |url: &Url| is_below(url, &known.url).then(|| known.url.path().len());
            std::cmp::Reverse((depth(url), index.and_then(depth)))
        });
        candidates.into_iter()
    }

    /// How a user can give credentials for a URL.
    pub fn advice(&self, url: &Url, index: Option<&Url>) -> String {
        let host = url.host_str().unwrap_or_default();
        let netrc = format!("in `~/.netrc`: `machine {host} login NAME password WORD`");
        match self.candidates(url, index).find_map(|known| known.variables.as_ref()) {
            Some(start) => format!("give credentials in `{start}_USERNAME` and `{start}_PASSWORD`, or {netrc}"),
            None => format!("give credentials {netrc}"),
        }
    }
}

/// Whether a URL is that of an index, or one below it.
fn is_below(url: &Url, index: &Url) -> bool {
    let rest = url.path().strip_prefix(index.path().trim_end_matches('/'));
    url.origin() == index.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A password without a user name has the one in the URL.
fn completed(mut found: Credentials, in_url: Option<&Credentials>) -> Credentials {
    if let Some(in_url) = in_url.filter(|_| found.username.is_empty()) {
        found.username.clone_from(&in_url.username);
    }
    found
}

fn from_variables(start: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<Credentials> {
    let (username, password) = (variable(&format!("{start}_USERNAME")), variable(&format!("{start}_PASSWORD")));
    if username.is_none() && password.is_none() {
        return None;
    }
    let source = CredentialSource::Variables(start.to_owned());
    Some(Credentials::new(username.unwrap_or_default(), password.unwrap_or_default(), source))
}

/// `[http-basic.<name>]`, where dots in the name make tables of their own.
fn from_poetry_auth(auth: &toml::Table, name: &str) -> Option<Credentials> {
    let all = auth.get("http-basic")?.as_table()?;
    let nested = || name.split('.').try_fold(all, |table, part| table.get(part)?.as_table());
    let table = all.get(name).and_then(toml::Value::as_table).or_else(nested)?;
    let text = |key| table.get(key).and_then(toml::Value::as_str);
    let (username, password) = (text("username"), text("password"));
    username.or(password)?;
    Some(Credentials::new(username.unwrap_or_default(), password.unwrap_or_default(), CredentialSource::PoetryAuth))
}

/// Indexes that uv's variables name: `[name=]URL`, several with spaces between.
fn indexes_of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<ConfiguredIndex> {
    let names = ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"];
    let texts: Vec<String> = names.into_iter().filter_map(variable).collect();
    let index = |text: &str| {
        let named = text.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
        let (name, url) = named.map_or((None, text), |(name, url)| (Some(name.to_owned()), url));
        ConfiguredIndex { tool: IndexTool::Uv, name, url: url.to_owned() }
    };
    texts.iter().flat_map(|text| text.split_whitespace()).map(index).collect()
}

/// <https://python-poetry.org/docs/configuration/#config-directory>
fn poetry_directory(variable: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(directory) = variable("POETRY_CONFIG_DIR") {
        return Some(directory.into());
    }
    if cfg!(target_os = "macos") {
        return Some(home?.join("Library/Application Support/pypoetry"));
    }
    let configuration = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".config")));
    Some(configuration?.join("pypoetry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("URL")
    }

    fn uv(name: &str, url: &str) -> ConfiguredIndex {
        ConfiguredIndex { tool: IndexTool::Uv, name: Some(name.into()), url: url.into() }
    }

    fn poetry(name: &str, url: &str) -> ConfiguredIndex {
        ConfiguredIndex { tool: IndexTool::Poetry, ..uv(name, url) }
    }

    fn store(indexes: &[ConfiguredIndex], variables: &[(&str, &str)]) -> CredentialStore {
        let auth = "[http-basic.corp]\nusername = 'auth'\npassword = 'toml'\n[http-basic.a.b]\nusername = 'dotted'\n";
        let netrc = "machine corp.test login net password rc\nmachine files.test login files password rc";
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        CredentialStore::from_parts(indexes, &variable, Some(auth), Some(netrc))
    }

    /// `name:password`, or `none`.
    fn found(store: &CredentialStore, text: &str) -> String {
        let (url, own) = take_credentials(url(text));
        let found = store.find(&url, own.as_ref(), None);
        found.map_or_else(|| "none".to_owned(), |found| format!("{}:{}", found.username, found.password))
    }

    #[test]
    fn the_nearest_place_wins() {
        let index = [poetry("corp", "https://corp.test/simple")];
        let variables = [("POETRY_HTTP_BASIC_CORP_USERNAME", "var"), ("POETRY_HTTP_BASIC_CORP_PASSWORD", "able")];
        let all = store(&index, &variables);
        assert_eq!(found(&all, "https://me:p%40ss%3A@corp.test/simple/x/"), "me:p@ss:");
        assert_eq!(found(&all, "https://corp.test/simple/x/"), "var:able");
        assert_eq!(found(&store(&index, &[]), "https://corp.test/simple/x/"), "auth:toml");
        assert_eq!(found(&store(&[], &[]), "https://corp.test/simple/x/"), "net:rc");
        assert_eq!(found(&store(&[], &[]), "https://else.test/simple/x/"), "none");
    }

    #[test]
    fn an_index_has_its_own_origin_only() {
        let all = store(&[uv("my-index", "https://index.test/simple")], &[("UV_INDEX_MY_INDEX_PASSWORD", "word")]);
        for own in ["https://index.test/files/x.whl", "https://index.test:443/simple/x/"] {
            assert_eq!(found(&all, own), ":word", "{own}");
        }
        for other in ["http://index.test/simple/x/", "https://index.test:8443/simple/x/", "https://a.index.test/x"] {
            assert_eq!(found(&all, other), "none", "{other}");
        }
        assert_eq!(found(&all, "https://files.test/x.whl"), "files:rc");
    }

    #[test]
    fn several_indexes_share_a_host() {
        let indexes = [uv("a", "https://host.test/a/simple"), uv("b", "https://host.test/b/simple/")];
        let all = store(&indexes, &[("UV_INDEX_A_USERNAME", "a"), ("UV_INDEX_B_USERNAME", "b")]);
        assert_eq!(found(&all, "https://host.test/b/simple/x/"), "b:");
        assert_eq!(found(&all, "https://host.test/a/simple/x/"), "a:");
        let file = url("https://host.test/files/x.whl");
        let of = |index: &str| all.find(&file, None, Some(&url(index))).expect("credentials").username;
        assert_eq!(of("https://host.test/b/simple/"), "b");
        assert_eq!(of("https://host.test/a/simple"), "a");
        assert_eq!(of("https://me:secret@host.test/a/simple"), "me");
        assert_eq!(all.find(&url("https://else.test/x"), None, Some(&url("https://me:secret@host.test/a"))), None);
    }

    #[test]
    fn names_become_variables_as_their_tools_do_it() {
        assert_eq!(variables(&uv("my.in-dex 2", "")).as_deref(), Some("UV_INDEX_MY_IN_DEX_2"));
        assert_eq!(variables(&poetry("my.in-dex_2", "")).as_deref(), Some("POETRY_HTTP_BASIC_MY_IN_DEX_2"));
        let dotted = store(&[poetry("a.b", "https://host.test/simple")], &[]);
        assert_eq!(found(&dotted, "https://host.test/simple/"), "dotted:");
    }

    #[test]
    fn a_user_name_alone_finds_its_password() {
        assert_eq!(found(&store(&[], &[]), "https://net@corp.test/"), "net:rc");
        assert_eq!(found(&store(&[], &[]), "https://other@corp.test/"), "other:");
        let named = uv("x", "https://me@host.test/simple");
        let all = store(&[named], &[("UV_INDEX_X_PASSWORD", "word")]);
        assert_eq!(found(&all, "https://host.test/simple/"), "me:word");
        let same_name = store(&[uv("x", "https://net@corp.test/simple")], &[]);
        assert_eq!(found(&same_name, "https://corp.test/simple/"), "net:rc");
        assert_eq!(found(&same_name, "https://net@corp.test/simple/"), "net:rc");
    }

    #[test]
    fn indexes_come_from_variables_too() {
        let variables = [
            ("UV_INDEX", "corp2=https://a.test/simple https://b:c@d.test/simple"),
            ("UV_INDEX_CORP2_USERNAME", "user"),
            ("UV_INDEX_URL", "https://e:f@g.test/simple?x=y"),
        ];
        let all = store(&[], &variables);
        assert_eq!(found(&all, "https://a.test/simple/x/"), "user:");
        assert_eq!(found(&all, "https://d.test/files/x"), "b:c");
        assert_eq!(found(&all, "https://g.test/files/x"), "e:f");
    }

    #[test]
    fn urls_lose_their_credentials_and_nothing_else() {
        for (before, after) in [
            ("https://me:secret@host.test:8080/a@b?c@d#e", "https://host.test:8080/a@b?c@d#e"),
            ("https://me:se@cret@host.test", "https://host.test"),
            ("git+https://token@host.test/x", "git+https://host.test/x"),
            ("git+ssh://git@host.test/x", "git+ssh://git@host.test/x"),
            ("git+ssh://me:secret@host.test/x", "git+ssh://host.test/x"),
            ("https://host.test/%2B", "https://host.test/%2B"),
            ("no URL", "no URL"),
        ] {
            assert_eq!(without_credentials(before), after);
        }
        let (url, credentials) = take_credentials(url("https://me:secret@host.test/x"));
        assert_eq!(url.as_str(), "https://host.test/x");
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    #[test]
    fn the_advice_names_the_variables() {
        let all = store(&[uv("corp", "https://corp.test/simple")], &[]);
        let advice = all.advice(&url("https://corp.test/files/x"), None);
        assert!(advice.contains("`UV_INDEX_CORP_USERNAME`") && advice.contains("machine corp.test"), "{advice}");
        assert!(all.advice(&url("https://else.test/"), None).contains("netrc"));
    }
}
