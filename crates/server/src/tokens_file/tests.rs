//! What a tokens file may hold, what is said of one that may not be, and what a change of it does.

use super::*;
use crate::config::{Config, Variables};

/// `printf %s hunter2 | sha256sum`
const HASH: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

fn tokens(pairs: &[(&str, &str)]) -> Arc<Tokens> {
    let mut variables = Variables::from([("TOKENS_FILE".into(), Some("tokens.yaml".into()))]);
    variables.extend(pairs.iter().map(|(k, v)| ((*k).into(), Some((*v).into()))));
    Arc::new(Tokens::of(&Config::read(&variables).unwrap()))
}

fn read(text: &str) -> Result<Arc<Tokens>, String> {
    let tokens = tokens(&[("AUTH_TOKEN", "hunter-r")]);
    tokens.replace(parse(text.as_bytes(), tokens.own())?);
    Ok(tokens)
}

fn who(tokens: &Tokens, secret: &str) -> String {
    let found = tokens.find(secret.as_bytes());
    found.map_or("nobody".into(), |who| {
        format!("{} {}", who.name(), if who.permit(Access::Write).is_ok() { "writes" } else { "reads" })
    })
}

#[test]
fn yaml_and_json() {
    let yaml = format!(
        "# rotated in May\ntokens:\n- {{name: ci-prod, access: write, secret: one}}\n- name: ci-prod\n  \
         access: write\n  sha256: {HASH}\n- name: jane@example.com\n  access: read\n  secret: 0123\n"
    );
    let json = format!(
        r#"{{"tokens": [{{"name": "ci-prod", "access": "write", "secret": "one"}},
            {{"name": "ci-prod", "access": "write", "sha256": "{}"}},
            {{"name": "jane@example.com", "access": "read", "secret": "0123"}}]}}"#,
        HASH.to_uppercase()
    );
    for text in [yaml, json] {
        let tokens = read(&text).unwrap();
        assert_eq!(who(&tokens, "one"), "ci-prod writes");
        assert_eq!(who(&tokens, "hunter2"), "ci-prod writes");
        assert_eq!(who(&tokens, "0123"), "jane@example.com reads");
        assert_eq!(who(&tokens, "hunter-r"), "reader reads");
        assert_eq!(who(&tokens, "two"), "nobody");
    }
    assert_eq!(who(&read("tokens: []").unwrap(), "hunter-r"), "reader reads");
}

#[test]
fn every_error_is_one_line_with_its_place_and_nothing_of_the_content() {
    let cases = [
        ("", "ends before there is anything in it"),
        ("hunter2", "line 1 column 1: is no YAML or JSON of the form tokens: "),
        ("tokens: [", "line 1 column "),
        ("tokens: hunter2", "line 1 column 9: is no YAML"),
        ("tokens:\n- hunter2", "line 2 column 3: is no YAML"),
        ("tokens: []\nhunter2: 1", "line 2 column 1: there is no such field"),
        ("tokens: []\n---\nhunter2: 1", "line 3 column 1: a second document begins"),
        ("tokens:\n- name: a\n  access: read\n  secert: hunter2", "line 4 column 3: there is no such field"),
        ("tokens:\n- name: a\n  secret: hunter2", "`access` is missing"),
        ("tokens:\n- access: read\n  secret: hunter2", "`name` is missing"),
        (
            "tokens:\n- name: a\n  access: read",
            "line 2 column 9: /tokens/0 needs either a secret or a sha256",
        ),
        ("tokens:\n- {name: a, access: read, secret: }", "/tokens/0 needs either"),
        ("tokens:\n- {name: a, access: read, secret: hunter2, secret: x}", "this field is there twice"),
        ("tokens:\n- {name: a, access: read, secret: [hunter2]}", "line 2 column "),
        ("tokens:\n- {name: a, access: hunter2, secret: x}", "/tokens/0/access must be read or write"),
        (
            "tokens:\n- {name: hunter2 hunter2, access: read, secret: x}",
            "column 10: /tokens/0/name must be 1 to 63",
        ),
        (
            "tokens:\n- {name: writer, access: read, secret: x}",
            "/name must not be one of reader, writer, seed",
        ),
        (
            "tokens:\n- {name: a, access: read, secret: hunter2 }\n- {name: b, access: read, secret: hunter2}",
            "line 3 column 10: /tokens/1 is the secret of /tokens/0 too",
        ),
        ("tokens:\n- {name: a, access: read, secret: hunter-r}", "/tokens/0 is the secret of AUTH_TOKEN too"),
        ("tokens:\n- {name: a, access: read, secret: \"hunter2 \"}", "/tokens/0/secret must not be empty"),
        ("tokens:\n- {name: a, access: read, secret: \"\"}", "/tokens/0/secret must not be empty"),
        (
            "tokens:\n- {name: a, access: read, sha256: hunter2}",
            "/tokens/0/sha256 must be the 64 hexadecimal",
        ),
    ];
    for (text, expected) in cases {
        let Err(said) = read(text) else { panic!("accepted: {text}") };
        assert!(said.contains(expected), "{text:?}: {said}");
        assert!(!said.contains('\n') && !said.contains("hunter"), "{said}");
    }
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let hash = |hash: &str| read(&format!("tokens: [{{name: a, access: read, sha256: '{hash}'}}]")).err();
    assert!(hash(nothing).unwrap().contains("hash of nothing"));
    assert!(hash(&HASH.replace("f5", "+5")).unwrap().contains("64 hexadecimal"));
    let twice = format!(
        "tokens: [{{name: a, access: read, sha256: {HASH}}}, {{name: a, access: write, secret: hunter2}}]"
    );
    assert!(read(&twice).err().unwrap().contains("/tokens/1 is the secret of /tokens/0 too"));
    assert!(parse(b"\xff", &[]).err().unwrap().contains("UTF-8"));
    assert!(parse(b"tokens: []", &[]).err().unwrap().contains("nobody could read"));
    let many: String = (0..=MOST).map(|n| format!("- {{name: a, access: read, secret: s{n}}}\n")).collect();
    assert!(read(&format!("tokens:\n{many}")).err().unwrap().contains("1001 tokens"));
}

#[test]
fn names() {
    for good in ["a", "ci-prod", "jane.doe@example.com", "team_a.ci-2", &"x".repeat(63)] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", "-", "-a", "a-", "@a", "Jane", "a b", "a/b", "a\"b", "jané", "a\n", &"x".repeat(64)] {
        assert!(!is_name(bad), "{bad:?}");
    }
}

/// One look, as [`TokensFile::follow`] makes it; whether it found anything new.
fn look_again(file: &mut TokensFile) -> bool {
    let Some((seen, parsed)) = look(&file.path, &file.tokens, Some(&file.seen)) else { return false };
    file.note(seen, parsed);
    true
}

#[test]
fn a_changed_file_is_taken_up_and_a_broken_one_changes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("tokens.yaml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let one = |secret: &str| format!("tokens: [{{name: ci, access: write, secret: {secret}}}]");
    let tokens = tokens(&[]);
    let open = || TokensFile::open(path.clone(), Arc::clone(&tokens));
    assert!(open().err().unwrap().contains("tokens.yaml: cannot be read"));
    write("tokens: []");
    assert!(open().err().unwrap().contains("nobody could read"));
    write(&one("first"));
    let mut file = open().ok().unwrap();
    assert!(!look_again(&mut file));
    write(&one("second"));
    assert!(look_again(&mut file));
    assert_eq!((who(&tokens, "first"), who(&tokens, "second")), ("nobody".into(), "ci writes".into()));
    let broken = |file: &mut TokensFile| {
        assert!(look_again(file) && !look_again(file), "each error is said once");
        assert!(tokens.file_refused());
        assert_eq!(who(&tokens, "second"), "ci writes");
    };
    write("tokens: [{name: ci");
    broken(&mut file);
    write("");
    broken(&mut file);
    std::fs::remove_file(&path).unwrap();
    broken(&mut file);
    write(&"#".repeat(2 << 20));
    broken(&mut file);
    write(&one("second"));
    assert!(look_again(&mut file), "mended, though no token changed");
    assert!(!tokens.file_refused());
}
