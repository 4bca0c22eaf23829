//! Commands that only one system has: from the palette, through the form of
//! what they take, to the same question as for verbs.

use crate::action::{Code, Key};
use crate::fleet::Fleet;
use crate::model::{
    Arguments, Clean, Command, EndpointName, Input as Value, InputShape, InputSpec, Inputs, Payload,
    Severity, Target,
};

use super::super::effect::{Draft, Effect};
use super::super::hints;
use super::super::state::{Field, Form, Overlay, State};
use super::{act, lists, message};

/// Begins a command on what is chosen here: asks first for what it takes.
pub(super) fn begin(state: &mut State, fleet: &Fleet, command: Command, key: Option<Key>) -> Vec<Effect> {
    if let Some(reason) = hints::command_refusal(state, fleet, command) {
        message::say(state, Severity::Warning, Clean::from(format!("{command}: {reason}")));
        return Vec::new();
    }
    if command.spec().inputs.is_empty() {
        return act::begin(state, fleet, command.into(), key);
    }
    let targets = act::targets(state, fleet, command.into());
    state.overlay = Some(Overlay::Form(Box::new(Form::new(command, targets))));
    state.dirty = true;
    Vec::new()
}

/// The endpoints that take work, the one under the cursor first.
///
/// # Errors
/// Why there is none, for people.
pub(in super::super) fn takers(state: &State, fleet: &Fleet) -> Result<Vec<EndpointName>, Clean> {
    let mut takers = Vec::new();
    let mut refusal = None;
    for row in fleet.endpoints() {
        let name = &row.spec.name;
        match act::refusal_of(state, fleet, Command::VigieSubmit.into(), &Target::endpoint(name.clone())) {
            None => takers.push(name.clone()),
            // What a coordinator says of itself is worth more than that others are none.
            Some(reason) if Command::VigieSubmit.spec().kind == row.spec.kind => {
                refusal = Some(Clean::from(format!("{name}: {reason}")));
            }
            Some(_) => {}
        }
    }
    if state.read_only {
        return Err("this console is read-only".into());
    }
    let here = lists::endpoint_under_cursor(state);
    takers.sort_by_key(|name| Some(name) != here.as_ref());
    if takers.is_empty() {
        return Err(refusal
            .unwrap_or_else(|| "no endpoint here takes work: only a coordinator of vigie's does".into()));
    }
    Ok(takers)
}

/// Asks for a command that is to run once.
pub(super) fn new_task(state: &mut State, fleet: &Fleet) {
    if let Ok(takers) = takers(state, fleet) {
        state.overlay = Some(Overlay::Form(Box::new(Form::of_several(Command::VigieSubmit, takers))));
        state.dirty = true;
    }
}

/// A key for the form, of which the state has been relieved; it is put back
/// unless the key closes it or sends it.
pub(super) fn form_key(state: &mut State, fleet: &Fleet, mut form: Box<Form>, key: Key) -> Vec<Effect> {
    let plain = !key.ctrl && !key.alt;
    let last = form.fields.len().saturating_sub(1);
    match key.code {
        Code::Esc if plain => {
            message::say(state, Severity::Info, format!("{}: nothing was sent", form.command));
            return Vec::new();
        }
        // While its files are read nothing can be changed.
        _ if form.files.is_some() => {}
        // Ctrl-J comes from every terminal, Ctrl-Enter as itself only from some.
        Code::Enter | Code::Char('j') if key.ctrl && !key.alt => return send(state, fleet, form, Some(key)),
        Code::Enter if plain && form.selected == last => return send(state, fleet, form, Some(key)),
        Code::PageDown | Code::PageUp if plain && form.choices.len() > 1 => {
            change_endpoint(&mut form, key.code == Code::PageDown);
        }
        Code::Enter | Code::Tab | Code::Down if plain => move_to(&mut form, |at| (at + 1) % (last + 1)),
        Code::BackTab | Code::Up if plain => move_to(&mut form, |at| (at + last) % (last + 1)),
        Code::Left | Code::Right if plain && words(&form).is_some() => {
            cycle(&mut form, key.code == Code::Right);
        }
        Code::Char(' ') if plain && words(&form).is_some() => cycle(&mut form, true),
        _ => {
            let field = form.selected;
            if let Some(field) = form.fields.get_mut(field) {
                let before = field.input.text.clone();
                field.input.key(key);
                if field.input.text != before {
                    field.error = None;
                }
            }
        }
    }
    state.overlay = Some(Overlay::Form(form));
    Vec::new()
}

/// Another of the endpoints that could be meant.
fn change_endpoint(form: &mut Form, forward: bool) {
    let many = form.choices.len();
    let at = form.choices.iter().position(|name| form.targets.first().is_some_and(|to| to.endpoint == *name));
    let next = (at.unwrap_or(0) + if forward { 1 } else { many - 1 }) % many;
    form.targets = vec![Target::endpoint(form.choices[next].clone())];
}

/// Text is pasted into the field that keys go into.
pub(super) fn paste(form: &mut Form, text: &str) {
    let selected = form.selected;
    if form.files.is_none()
        && let Some(field) = form.fields.get_mut(selected)
    {
        field.input.insert(text);
        field.error = None;
    }
}

/// The words that the chosen field has to be one of.
fn words(form: &Form) -> Option<&'static [&'static str]> {
    match form.spec()?.shape {
        InputShape::Word(words) => Some(words),
        _ => None,
    }
}

/// The next word of those there are, or the one before.
fn cycle(form: &mut Form, forward: bool) {
    let Some(words) = words(form) else { return };
    let selected = form.selected;
    let Some(field) = form.fields.get_mut(selected) else { return };
    let at = words.iter().position(|word| *word == field.input.text);
    let next = match (at, forward) {
        (None, true) => 0,
        (None, false) => words.len() - 1,
        (Some(at), true) => (at + 1) % words.len(),
        (Some(at), false) => (at + words.len() - 1) % words.len(),
    };
    field.input.set(words[next]);
    field.error = None;
}

/// Leaves the field, which is checked, for another.
fn move_to(form: &mut Form, to: impl Fn(usize) -> usize) {
    let (at, command) = (form.selected, form.command);
    if let (Some(spec), Some(field)) = (command.spec().inputs.get(at), form.fields.get_mut(at)) {
        complete(spec, field);
    }
    let for_a_shell = form.is_for_a_shell();
    for (i, (spec, field)) in command.spec().inputs.iter().zip(&mut form.fields).enumerate() {
        // What is still missing is said when it is to be sent. What is wrong
        // with a line depends on who is to run it.
        if (i == at || spec.shape == InputShape::Words) && !field.input.text.trim().is_empty() {
            check(spec, field, for_a_shell);
        }
    }
    form.selected = to(at);
}

/// The one word that begins with what is typed is meant.
fn complete(spec: &InputSpec, field: &mut Field) {
    let InputShape::Word(words) = spec.shape else { return };
    let typed = field.input.text.trim().to_ascii_lowercase();
    let mut begun = words.iter().filter(|word| !typed.is_empty() && word.starts_with(&typed));
    if let (Some(word), None) = (begun.next(), begun.next()) {
        field.input.set(word);
    }
}

/// Notes what is wrong with a field. Of a file only whether it is named.
fn check(spec: &InputSpec, field: &mut Field, for_a_shell: bool) {
    let text = field.input.text.trim();
    let wrong = match (text.is_empty(), spec.shape) {
        (true, _) => spec.required.then(|| "is needed".to_owned()),
        (false, InputShape::Payload) => None,
        (false, InputShape::Words) if for_a_shell => None,
        (false, _) => spec.check(&Value::Text(Clean::line(text))).err(),
    };
    field.error = wrong.map(Clean::from);
}

/// Sends what is typed, or says what is wrong with it; files are read first.
fn send(state: &mut State, fleet: &Fleet, mut form: Box<Form>, key: Option<Key>) -> Vec<Effect> {
    for (spec, field) in form.command.spec().inputs.iter().zip(&mut form.fields) {
        complete(spec, field);
    }
    let for_a_shell = form.is_for_a_shell();
    for (spec, field) in form.command.spec().inputs.iter().zip(&mut form.fields) {
        check(spec, field, for_a_shell);
    }
    if let Some(wrong) = form.fields.iter().position(|field| field.error.is_some()) {
        form.selected = wrong;
        state.overlay = Some(Overlay::Form(form));
        return Vec::new();
    }
    let paths = form.paths();
    if paths.is_empty() {
        return propose(state, fleet, &form, &[], key);
    }
    form.files = Some(Vec::new());
    state.overlay = Some(Overlay::Form(form));
    paths.into_iter().map(Effect::ReadFile).collect()
}

/// A file has been read for the form, if that is still open.
pub(super) fn file_came(
    state: &mut State,
    fleet: &Fleet,
    path: &str,
    result: Result<Payload, Clean>,
) -> Vec<Effect> {
    let Some(Overlay::Form(form)) = &mut state.overlay else { return Vec::new() };
    let paths = form.paths();
    let Some(files) = form.files.as_mut().filter(|_| paths.iter().any(|wanted| wanted == path)) else {
        return Vec::new();
    };
    state.dirty = true;
    match result {
        Ok(payload) => files.push((path.to_owned(), payload)),
        Err(reason) => {
            form.files = None;
            if let Some(at) = form.fields.iter().position(|field| field.input.text.trim() == path) {
                form.selected = at;
                form.fields[at].error = Some(reason);
            }
            return Vec::new();
        }
    }
    if !paths.iter().all(|wanted| files.iter().any(|(read, _)| read == wanted)) {
        return Vec::new();
    }
    let Some(Overlay::Form(mut form)) = state.overlay.take() else { return Vec::new() };
    let files = form.files.take().unwrap_or_default();
    propose(state, fleet, &form, &files, None)
}

/// All is there: on to the question, or straight away.
fn propose(
    state: &mut State,
    fleet: &Fleet,
    form: &Form,
    files: &[(String, Payload)],
    key: Option<Key>,
) -> Vec<Effect> {
    let value = |spec: &InputSpec, field: &Field| {
        let text = field.input.text.trim();
        match spec.shape {
            InputShape::Payload => {
                files.iter().find(|(path, _)| path == text).map(|(_, read)| Value::Payload(read.clone()))
            }
            _ if text.is_empty() => None,
            _ => Some(Value::Text(Clean::line(text))),
        }
    };
    let inputs: Inputs = form
        .lines()
        .filter_map(|(spec, field)| Some((Clean::line(spec.name), value(spec, field)?)))
        .collect();
    if let Err(why) = form.command.check(&inputs) {
        message::say(state, Severity::Warning, why);
        return Vec::new();
    }
    let arguments = Arguments { inputs, ..Arguments::default() };
    let draft = Draft { deed: form.command.into(), targets: form.targets.clone(), arguments };
    act::propose(state, fleet, draft, key)
}
