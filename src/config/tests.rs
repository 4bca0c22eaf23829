use super::*;
use crate::model::{Guard, OptionValue, SecretRef};
use std::collections::BTreeMap;
use std::time::Duration;

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    Settings::parse(text, Path::new("/etc/vigie"), Some(Path::new("/home/ada")))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn env_of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
}

/// The reference with its examples uncommented: lines that begin with `#` and no space.
fn uncommented() -> String {
    EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn nothing_configured_is_the_local_coordinator() {
    let settings = parse("").unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.endpoints.len(), 1);
    assert_eq!(settings.endpoints[0].name.as_raw(), "local");
    assert_eq!((settings.endpoints[0].kind, &settings.endpoints[0].url), (Kind::Vigie, &None));
}

#[test]
fn the_reference_is_the_defaults() {
    assert_eq!(parse(EXAMPLE).unwrap(), Settings::default());
    // And leaves none out: each key at the top and in every section, each action, with its default keys.
    for line in [
        "theme = ",
        "screen = ",
        "ascii = ",
        "[safety]",
        "read_only = ",
        "[coordinator]",
        "open_on_loopback = ",
        "listen = ",
        "hosts = ",
        "[vault]",
        "[keys]",
    ] {
        assert!(EXAMPLE.lines().any(|l| l.starts_with(line)), "{line}");
    }
    for action in Action::ALL {
        let spec = action.spec();
        let keys: Vec<String> = spec.keys.iter().map(|key| format!("{key:?}")).collect();
        let line = format!("{} = [{}]", spec.name, keys.join(", "));
        let found = EXAMPLE.lines().find(|l| l.starts_with(&format!("{} = ", spec.name)));
        let (setting, about) = found.unwrap_or_else(|| panic!("{line} is missing")).split_once('#').unwrap();
        assert_eq!((setting.trim(), about.trim()), (line.as_str(), spec.title));
    }
}

#[test]
fn the_examples_of_the_reference_parse_and_show_every_kind_and_name() {
    let text = uncommented();
    let settings = parse(&text).unwrap();
    assert_eq!(
        Settings {
            endpoints: Settings::default().endpoints,
            access: Settings::default().access,
            vault_key: None,
            ..settings.clone()
        },
        Settings::default()
    );
    assert!(settings.access.tls.is_some() && settings.vault_key.is_some());
    for &kind in Kind::ALL {
        let of_kind: Vec<&EndpointSpec> = settings.endpoints.iter().filter(|e| e.kind == kind).collect();
        assert!(!of_kind.is_empty(), "{kind}");
        for name in kind.spec().auth {
            assert!(of_kind.iter().any(|e| e.auth.contains_key(name.name)), "{kind}: {}", name.name);
        }
        for option in kind.spec().options {
            assert!(of_kind.iter().any(|e| e.options.contains_key(option.name)), "{kind}: {}", option.name);
        }
    }
    for key in ["ca_file", "client_cert", "client_key", "server_name", "labels", "guard", "poll", "timeout"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

#[test]
fn an_endpoint_is_read() {
    let settings = parse(
        r#"
[[endpoint]]
name = "backups"
kind = "duplistatus"
url = "http://ops-1:9667/"
poll = "250ms"
timeout = "1m"
guard = "read-only"
labels = { env = "prod" }
[endpoint.auth]
username = "ada"
password = { command = ["pass", "show", "x"] }
[endpoint.tls]
ca_file = "ca.pem"
client_cert = "~/me.pem"
client_key = "/abs/me.key"
[endpoint.options]
web_url = "http://ops-1:9666"
schedules = { audit-log-cleanup = "off", overdue-backup-check = "*/2 * * * *" }
"#,
    )
    .unwrap();
    let [endpoint] = settings.endpoints.as_slice() else { panic!("{settings:?}") };
    assert_eq!(endpoint.url.as_deref(), Some("http://ops-1:9667"));
    assert_eq!((endpoint.poll, endpoint.timeout), (Duration::from_millis(250), Duration::from_secs(60)));
    assert_eq!(endpoint.guard, Guard::ReadOnly);
    assert_eq!(endpoint.labels.get("env").map(crate::model::Clean::as_str), Some("prod"));
    assert_eq!(endpoint.auth["username"], SecretRef::Plain("ada".into()));
    assert_eq!(
        endpoint.auth["password"],
        SecretRef::Command(["pass", "show", "x"].map(str::to_owned).to_vec())
    );
    assert_eq!(endpoint.tls.ca_file.as_deref(), Some(Path::new("/etc/vigie/ca.pem")));
    assert_eq!(endpoint.tls.client_cert.as_deref(), Some(Path::new("/home/ada/me.pem")));
    assert_eq!(endpoint.tls.client_key.as_deref(), Some(Path::new("/abs/me.key")));
    let schedules = BTreeMap::from([
        ("audit-log-cleanup".into(), None),
        ("overdue-backup-check".into(), Some("*/2 * * * *".to_owned())),
    ]);
    assert_eq!(endpoint.options["schedules"], OptionValue::Schedules(schedules));
}

#[test]
fn every_secret_form_is_read() {
    for (form, wanted) in [
        ("{ env = \"T\" }", SecretRef::Env("T".into())),
        ("{ file = \"~/t\" }", SecretRef::File("/home/ada/t".into())),
        ("{ file = \"t\" }", SecretRef::File("/etc/vigie/t".into())),
        ("{ command = [\"a\"] }", SecretRef::Command(vec!["a".into()])),
        ("{ vault = \"ops/token\" }", SecretRef::Vault("ops/token".into())),
    ] {
        let text = format!("[[endpoint]]\nname = 'x'\nkind = 'vigie'\nauth.token = {form}");
        assert_eq!(parse(&text).unwrap().endpoints[0].auth["token"], wanted, "{form}");
    }
}

/// A document, and everything that is said of it.
#[test]
fn every_mistake_is_named_at_once_with_its_line() {
    let text = r#"
theem = "x"
screen = "bord"
ascii = 1
[safety]
read-only = true
[[endpoint]]
name = "a b"
kind = "duplistatsu"
auth = { anything = 1 }
[[endpoint]]
name = "ops"
kind = "duplistatus"
url = "ftp://x"
poll = "1ms"
[endpoint.auth]
pasword = { env = "X" }
[[endpoint]]
name = "ops"
kind = "vigie"
urll = "http://x"
[keys]
triger = ["t"]
pause = ["jj"]
"#;
    let said = parse(text).unwrap_err();
    assert_eq!(
        said,
        [
            "line 2: theem: unknown key; did you mean \"theme\"?",
            "line 3: screen: \"bord\" is not one of board, tasks, runs, endpoints, journal; \
             did you mean \"board\"?",
            "line 4: ascii: must be true or false, not a whole number",
            "line 6: safety.read-only: unknown key; did you mean \"read_only\"?",
            "line 8: endpoint[0].name: must be 1 to 64 letters, digits, dots, hyphens or underscores",
            "line 9: endpoint[0].kind: \"duplistatsu\" is not one of vigie, duplistatus, duty-duck, \
             rediacc; did you mean \"duplistatus\"?",
            "line 14: endpoint[1].url: must begin with http:// or https://, not ftp:",
            "line 15: endpoint[1].poll: must be from 100ms to 1d",
            "line 17: endpoint[1].auth.pasword: unknown key; did you mean \"password\"?",
            "line 19: endpoint[2].name: \"ops\" is already the name of the endpoint at line 12",
            "line 21: endpoint[2].urll: unknown key; did you mean \"url\"?",
            "line 23: keys.triger: no such action; did you mean \"trigger\"?",
            "line 24: keys.pause[0]: \"jj\" is no key: write a character, or enter, esc, tab, space, up, f5, …, \
             with ctrl- or alt- before it",
        ]
    );
}

#[test]
fn one_mistake_each() {
    let forms = "{ env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }";
    let plain = format!("line 4: endpoint[0].auth.token: a secret is never written here: use {forms}");
    let either = format!("line 4: endpoint[0].auth.token: must be exactly one of {forms}");
    let vigie = "[[endpoint]]\nname = 'x'\nkind = 'vigie'\n";
    let twice = format!("{vigie}[[endpoint]]\nname = 'y'\nkind = 'vigie'");
    let table: &[(String, &str)] = &[
        (format!("{vigie}auth.token = 'hunter2'"), plain.as_str()),
        (format!("{vigie}auth.token = {{ env = 'A', file = 'b' }}"), &either),
        (
            format!("{vigie}auth.token = {{ command = [] }}"),
            "line 4: endpoint[0].auth.token.command: must be a \
             program and its arguments, such as [\"pass\", \"show\", \"x\"]",
        ),
        (
            format!("{vigie}auth.token = {{ env = 'not a name' }}"),
            "line 4: endpoint[0].auth.token.env: must be a name",
        ),
        (
            format!("{vigie}url = 'http://ada:hunter2@x'"),
            "line 4: endpoint[0].url: must hold no credentials, which would end up in logs: write them under \
             [endpoint.auth]",
        ),
        (
            format!("{vigie}url = 'ops-1'"),
            "line 4: endpoint[0].url: not an absolute URL (relative URL without a base): write http://HOST:PORT",
        ),
        (format!("{vigie}url = 'http://x/?a=hunter2'"), "line 4: endpoint[0].url: must have no ? and no #"),
        (
            format!("{vigie}tls.client_cert = 'a'"),
            "line 4: endpoint[0].tls: client_cert and client_key go together",
        ),
        (
            twice,
            "line 4: endpoint[1]: the endpoint at line 1 is the local coordinator already: give this one a url",
        ),
        (
            "[[endpoint]]\nname = 'x'\nkind = 'duplistatus'".to_owned(),
            "line 1: endpoint[0]: \"url\" is missing: where is this duplistatus?",
        ),
        (
            "[endpoint]\nname = 'x'".to_owned(),
            "line 1: endpoint: must be a list of tables: write [[endpoint]], not [endpoint]",
        ),
        (
            "theme = 'a b'".to_owned(),
            "line 1: theme: must be a theme's name, such as \"vigie-dark\", or \"auto\"",
        ),
        (
            "[keys]\ntrigger = 't'".to_owned(),
            "line 2: keys.trigger: must be a list of keys, such as [\"t\"]; [] unbinds",
        ),
        ("[keys]\ntrigger = ['t', 't']".to_owned(), "line 2: keys.trigger[1]: t is there twice"),
        ("[keys]\nquit = []".to_owned(), "line 2: keys.quit: quit needs a key"),
        (
            "[keys]\ntrigger = ['z']\n\nretry = ['z']".to_owned(),
            "line 4: keys.retry: z is also trigger (line 2)",
        ),
        (
            "[keys]\ntrigger = ['x']".to_owned(),
            "line 2: keys.trigger: x is also cancel (by default: unbind it with cancel = [])",
        ),
    ];
    for (text, said) in table {
        let problems = parse(text).unwrap_err();
        assert_eq!(problems, [*said], "{text}");
        assert!(!problems[0].contains("hunter2"), "a secret is never repeated");
    }
}

#[test]
fn what_a_kind_needs_together_is_said_with_its_line() {
    let duck = "[[endpoint]]\nname = 'x'\nkind = 'duty-duck'\nurl = 'http://h'\n";
    let rediacc = "[[endpoint]]\nname = 'x'\nkind = 'rediacc'\nurl = 'http://h/api'\n";
    let dup = "[[endpoint]]\nname = 'x'\nkind = 'duplistatus'\nurl = 'http://h'\n";
    let env = "{ env = 'E' }";
    let token = format!("{rediacc}auth.token = {env}\n");
    let table = [
        (duck.to_owned(), Some("line 1: endpoint[0]: duty-duck needs token_id and secret_key")),
        (
            format!("{duck}auth.token_id = 'a'"),
            Some("line 5: endpoint[0].auth: duty-duck needs token_id and"),
        ),
        (format!("{duck}auth.token_id = 'a'\nauth.secret_key = {env}"), None),
        (rediacc.to_owned(), Some("line 1: endpoint[0]: rediacc needs token, or email and password")),
        (token.clone(), None),
        (format!("{rediacc}auth.email = 'a'\nauth.password = {env}\nauth.second_factor = {env}"), None),
        (
            format!("{rediacc}auth.email = 'a'"),
            Some("line 5: endpoint[0].auth: email and password go together"),
        ),
        (format!("{token}auth.email = 'a'"), Some("rediacc takes either token, or email and password")),
        (format!("{token}auth.second_factor = {env}"), Some("second_factor goes with email and password")),
        (format!("{token}options.failure_action = 'run:x/y'\noptions.policy = true"), None),
        (format!("{token}options.policy = false"), None),
        (
            format!("{token}options.policy = true"),
            Some(
                "line 6: endpoint[0].options.policy: there is nothing to apply: write retry or failure_action",
            ),
        ),
        (
            format!("{token}options.failure_action = 'run:x'"),
            Some("line 6: endpoint[0].options.failure_action: \"run:x\" is not one of alert, none, run:"),
        ),
        (
            format!("{token}options.failure_action = 'run:xx/y'"),
            Some(
                "line 6: endpoint[0].options.failure_action: there is no endpoint \"xx\" here; did you mean \"x\"?",
            ),
        ),
        (
            format!("{dup}auth.username = 'a'"),
            Some("line 5: endpoint[0].auth: username and password go together"),
        ),
        (
            format!("{dup}auth.username = 'a'\nauth.password = {env}"),
            Some(
                "line 5: endpoint[0].auth: username and password are for the web app: say where it is, as web_url",
            ),
        ),
        (format!("{dup}auth.username = 'a'\nauth.password = {env}\noptions.web_url = 'http://w'"), None),
    ];
    for (text, said) in table {
        match (parse(&text), said) {
            (Ok(_), None) => {}
            (Err(problems), Some(said)) => {
                assert!(problems.len() == 1 && problems[0].contains(said), "{text}: {problems:?}");
            }
            (result, _) => panic!("{text}: {result:?}, not {said:?}"),
        }
    }
}

#[test]
fn keys_that_differ_are_kept_and_those_that_do_not_are_not() {
    let settings =
        parse("[keys]\ntrigger = ['t']\ncancel = []\nretry = ['x', 'ctrl-r']\npause = ['F']\nresume = ['F']");
    let keys = settings.unwrap().keys;
    let shown: Vec<String> = keys
        .iter()
        .map(|(action, keys)| {
            format!("{action}:{}", keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(shown, ["pause:F", "resume:F", "retry:x ctrl-r", "cancel:"]);
}

#[test]
fn every_screen_is_an_action() {
    for screen in SCREENS {
        let action: Action = screen.parse().unwrap();
        assert_eq!(action.spec().title, format!("screen: {screen}"));
    }
    let screens = Action::ALL.iter().filter(|action| action.spec().title.starts_with("screen: ")).count();
    assert_eq!(screens, SCREENS.len(), "a screen that can't be begun with");
}

#[test]
fn the_command_line_is_before_the_environment_and_that_before_the_file() {
    let env = env_of(&[("VIGIE_THEME", "from-env"), ("VIGIE_READ_ONLY", "1"), ("VIGIE_ASCII", "no")]);
    let env = Overrides::from_env(&env).unwrap();
    let flags = Overrides { theme: Some("from-flag".into()), ..Overrides::default() };
    let file = parse("theme = 'from-file'\nscreen = 'tasks'\nascii = true").unwrap();
    let settings = file.with(&flags.or(env));
    assert_eq!(settings.theme, "from-flag");
    assert_eq!(settings.screen, "tasks");
    assert!(settings.read_only);
    assert!(!settings.ascii);
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    for (name, value, said) in [
        ("VIGIE_READ_ONLY", "perhaps", "$VIGIE_READ_ONLY: it must be true or false"),
        (
            "VIGIE_SCREEN",
            "task",
            "$VIGIE_SCREEN: \"task\" is not one of board, tasks, runs, endpoints, journal; did you mean \"tasks\"?",
        ),
    ] {
        let pairs = [(name, value)];
        assert_eq!(Overrides::from_env(&env_of(&pairs)).unwrap_err().to_string(), said);
    }
}

#[test]
fn files_are_looked_up_in_order() {
    let xdg = [("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s"), ("XDG_DATA_HOME", "/d"), ("HOME", "/h")];
    let paths = Paths::resolve(None, &env_of(&xdg)).unwrap();
    assert_eq!(paths.config, Path::new("/c/vigie/config.toml"));
    assert_eq!(paths.tasks, Path::new("/c/vigie/tasks.toml"));
    assert_eq!(paths.themes, Path::new("/c/vigie/themes"));
    assert_eq!((paths.state.as_path(), paths.data.as_path()), (Path::new("/s/vigie"), Path::new("/d/vigie")));
    assert_eq!(paths.home.as_deref(), Some(Path::new("/h")));
    assert!(!paths.explicit);

    let named: Vec<_> = [&xdg[..], &[("VIGIE_CONFIG", "/e/mine.toml")]].concat();
    let paths = Paths::resolve(None, &env_of(&named)).unwrap();
    assert_eq!((paths.config.as_path(), paths.explicit), (Path::new("/e/mine.toml"), true));
    assert_eq!(paths.tasks, Path::new("/e/tasks.toml"));
    let paths = Paths::resolve(Some(Path::new("/f/x.toml")), &env_of(&named)).unwrap();
    assert_eq!((paths.config.as_path(), paths.explicit), (Path::new("/f/x.toml"), true));

    // A relative XDG folder does not count.
    let paths = Paths::resolve(None, &env_of(&[("XDG_DATA_HOME", "here")])).unwrap();
    assert!(paths.data.is_absolute());
}

fn paths_in(folder: &Path) -> Paths {
    let folder = folder.to_str().unwrap();
    let pairs = [("XDG_CONFIG_HOME", folder), ("XDG_STATE_HOME", folder), ("XDG_DATA_HOME", folder)];
    Paths::resolve(None, &env_of(&pairs)).unwrap()
}

#[test]
fn the_file_is_loaded_and_a_missing_one_matters_only_when_named() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_in(folder.path());
    let load = |paths: &Paths| Settings::load(paths, &Overrides::default());
    assert_eq!(load(&paths).unwrap(), Settings::default());
    let named = Paths { explicit: true, ..paths.clone() };
    assert!(matches!(load(&named), Err(ConfigError::Unreadable { .. })));

    init(&paths).unwrap();
    assert_eq!(load(&paths).unwrap(), Settings::default());
    let error = init(&paths).unwrap_err().to_string();
    assert!(error.ends_with("config.toml is there already; it is not overwritten"), "{error}");

    std::fs::write(&paths.config, "a = 1\nb = 2").unwrap();
    let error = load(&paths).unwrap_err().to_string();
    let config = paths.config.display();
    assert_eq!(error, format!("{config}: line 1: a: unknown key\n{config}: line 2: b: unknown key"));
}

#[tokio::test]
async fn a_change_is_noticed_and_a_rewrite_of_the_same_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_in(folder.path());
    // Its folder is not there yet, and comes with the whole file in it.
    let elsewhere = tempfile::tempdir_in(folder.path()).unwrap();
    let staged = paths_in(elsewhere.path());
    init(&staged).unwrap();
    let mut watch = ConfigWatch::new(vec![paths.config.clone()]).unwrap();
    std::fs::create_dir_all(paths.config.parent().unwrap().parent().unwrap()).unwrap();
    std::fs::rename(staged.config.parent().unwrap(), paths.config.parent().unwrap()).unwrap();
    watch.changed().await;
    // Replaced, as editors do, by the same: then by another.
    let beside = paths.config.with_extension("new");
    std::fs::write(&beside, EXAMPLE).unwrap();
    std::fs::rename(&beside, &paths.config).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), watch.changed()).await.is_err());
    std::fs::write(&beside, "ascii = true").unwrap();
    std::fs::rename(&beside, &paths.config).unwrap();
    watch.changed().await;
    std::fs::remove_file(&paths.config).unwrap();
    watch.changed().await;
}

#[test]
fn schedules_are_read_where_they_are_written() {
    let problems = parse(
        "[[endpoint]]\nname = \"b\"\nkind = \"duplistatus\"\nurl = \"http://h:1\"\n[endpoint.options.schedules]\n\
         audit-log-cleanup = \"off\"\noverdue-backup-check = \"61 * * * *\"\n",
    )
    .unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("line 7: endpoint[0].options.schedules.overdue-backup-check: "),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_is_no_text_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_in(folder.path());
    std::fs::create_dir_all(paths.config.parent().unwrap()).unwrap();
    for (bytes, line) in [(&b"\xff\xfe"[..], 1), (b"ascii = true\n# caf\xe9\n", 2)] {
        std::fs::write(&paths.config, bytes).unwrap();
        let error = Settings::load(&paths, &Overrides::default()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: line {line}: is not UTF-8 text", paths.config.display()));
    }
}

#[test]
fn the_vault_s_key_is_named_and_never_written_or_in_the_vault() {
    let key = |text: &str| parse(&format!("[vault]\nkey = {text}\n")).map(|settings| settings.vault_key);
    assert_eq!(key("{ env = \"KEY\" }").unwrap(), Some(SecretRef::Env("KEY".into())));
    assert!(matches!(key("{ command = [\"pass\", \"x\"] }").unwrap(), Some(SecretRef::Command(_))));
    for (text, words) in
        [("\"AGE-SECRET-KEY-1\"", "never written here"), ("{ vault = \"a/b\" }", "can't be in the vault")]
    {
        let problems = key(text).unwrap_err();
        assert!(problems[0].contains(words), "{problems:?}");
        assert!(!format!("{problems:?}").contains("AGE-"), "{problems:?}");
    }
}
