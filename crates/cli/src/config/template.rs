//! The configuration file that an installation begins with: every key, at its default, commented out.

use super::edit::to_toml;
use super::keys::{KEYS, Key, Plain};

const HEAD: &str = "\
# The configuration of prontodb. Each key stands here with its default; a line counts once its `#` is gone.
# `prontodb config set KEY VALUE` changes this file too, and `prontodb config list` tells what holds.
";

/// The text of the file.
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    for key in &KEYS {
        text.push_str(&format!("\n# {}.\n#{} = {}\n", key.meaning, key.name, value(key)));
    }
    text
}

/// The default as one would write it.
fn value(key: &Key) -> String {
    match key.check(key.default) {
        Ok(Plain::Text(text)) if text.parse::<bool>().is_ok() => text,
        Ok(value) => to_toml(&value).to_string(),
        Err(_) => to_toml(&Plain::Text(key.default.to_owned())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{ConfigFile, Flags, Settings};
    use super::*;

    #[test]
    fn every_key_stands_there_with_its_default() {
        let text: String = template()
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(text.lines().count(), KEYS.len());
        let file = ConfigFile::parse(Path::new("/c"), text.into_bytes()).unwrap();
        let (settings, warnings) = Settings::load(&Flags::default(), &|_| None, Some(&file)).unwrap();
        assert_eq!(warnings, [""; 0]);
        for entry in settings.entries() {
            assert_eq!(entry.value, entry.key.check(entry.key.default).unwrap(), "{}", entry.key.name);
            assert_eq!(entry.source.to_string(), "/c", "{}", entry.key.name);
        }
    }

    #[test]
    fn as_it_is_it_says_nothing() {
        let file = ConfigFile::parse(Path::new("/c"), template().into_bytes()).unwrap();
        assert!(KEYS.iter().all(|key| file.value(key.name).unwrap().is_none()));
    }
}
