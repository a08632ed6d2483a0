//! `netrc` files: logins by host.
//!
//! Format: <https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html>. Words that mean
//! nothing here are passed over, as by the programs that share the file.

use std::fmt;

/// The logins of a `netrc` file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Default, PartialEq, Eq)]
struct Entry {
    /// `None` for `default`.
    machine: Option<String>,
    login: String,
    password: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Netrc {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut words = Words { rest: text };
        while let Some(word) = words.keyword() {
            match word.as_str() {
                "machine" => {
                    let machine = Some(words.value().unwrap_or_default());
                    entries.push(Entry { machine, ..Entry::default() });
                }
                "default" => entries.push(Entry::default()),
                "macdef" => words.skip_macro(),
                "login" | "user" => set(&mut entries, words.value(), |entry| &mut entry.login),
                "password" | "passwd" => set(&mut entries, words.value(), |entry| &mut entry.password),
                "account" => drop(words.value()),
                _ => {}
            }
        }
        Self { entries }
    }

    /// Login and password for a host: those of its first entry, else of `default`. A login that is known already
    /// has to be the entry's.
    pub fn login(&self, host: &str, login: Option<&str>) -> Option<(&str, &str)> {
        let suits = |entry: &&Entry| login.is_none_or(|login| login == entry.login);
        let of_host = |entry: &&Entry| entry.machine.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host));
        let mut suitable = self.entries.iter().filter(suits);
        let found = suitable.clone().find(of_host).or_else(|| suitable.find(|entry| entry.machine.is_none()))?;
        Some((&found.login, &found.password))
    }
}

fn set(entries: &mut [Entry], word: Option<String>, field: impl Fn(&mut Entry) -> &mut String) {
    if let (Some(entry), Some(word)) = (entries.last_mut(), word) {
        *field(entry) = word;
    }
}

/// Words between white space. Quotes keep white space, backslashes keep quotes.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// The next word that does not belong to a comment, which starts with `#` where a keyword could stand.
    fn keyword(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return self.value();
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    /// The next word; passwords may start with `#`.
    fn value(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        let mut word = String::new();
        let mut characters = self.rest.char_indices();
        let quoted = self.rest.starts_with('"');
        if quoted {
            characters.next();
        }
        while let Some((position, character)) = characters.next() {
            match character {
                '"' if quoted => {
                    self.rest = &self.rest[position + 1..];
                    return Some(word);
                }
                '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                _ if !quoted && character.is_whitespace() => {
                    self.rest = &self.rest[position..];
                    return Some(word);
                }
                _ => word.push(character),
            }
        }
        self.rest = "";
        (!word.is_empty() || quoted).then_some(word)
    }

    /// A macro ends with an empty line.
    fn skip_macro(&mut self) {
        let end = ["\n\n", "\n\r\n"].iter().filter_map(|end| Some(self.rest.find(end)? + end.len())).min();
        self.rest = end.map_or("", |end| &self.rest[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_logins() {
        let netrc = Netrc::parse(
            "# machine commented.test login no password no\n\
             machine a.test login me password #1\nmachine b.test\n  login \"two words\"\n  password \"a\\\"b\"\n\
             machine c.test account x password only # rest of the line\n\
             machine a.test login other password second\n\
             macdef init\nmachine m.test login no password no\n\nmachine d.test login d\n",
        );
        assert_eq!(netrc.login("a.test", None), Some(("me", "#1")));
        assert_eq!(netrc.login("A.test", Some("other")), Some(("other", "second")));
        assert_eq!(netrc.login("a.test", Some("nobody")), None);
        assert_eq!(netrc.login("b.test", None), Some(("two words", "a\"b")));
        assert_eq!(netrc.login("c.test", None), Some(("", "only")));
        assert_eq!(netrc.login("d.test", None), Some(("d", "")));
        for host in ["commented.test", "m.test", "sub.a.test", "test"] {
            assert_eq!(netrc.login(host, None), None, "{host}");
        }
    }

    #[test]
    fn a_default_is_for_all_others() {
        let netrc = Netrc::parse("default login any password thing\nmachine a.test login me password word");
        assert_eq!(netrc.login("a.test", None), Some(("me", "word")));
        assert_eq!(netrc.login("b.test", None), Some(("any", "thing")));
    }

    #[test]
    fn broken_files_do_no_harm() {
        for text in ["", "machine", "login", "password x", "machine a.test login", "\"", "\\", "macdef x", "#"] {
            assert_eq!(Netrc::parse(text).login("b.test", None), None, "{text}");
        }
        assert!(!format!("{:?}", Netrc::parse("machine a login b password secret")).contains("secret"));
    }
}
