//! What lies over the screen: questions, forms, choices.

use super::Input;
use crate::action::Key;
use crate::console::effect::Draft;
use crate::model::{Clean, Command, EndpointName, InputShape, InputSpec, Payload, Target};

/// What will be done to one target of a confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The target.
    pub target: Target,
    /// The exact request, once known.
    pub call: Option<Clean>,
    /// What it would do, or why that can't be told: where its system has a dry run, once that has answered.
    pub foreseen: Option<Result<Clean, Clean>>,
}

impl From<Target> for Planned {
    fn from(target: Target) -> Self {
        Self { target, call: None, foreseen: None }
    }
}

/// Targets of a confirmation at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmGroup {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// What will be done.
    pub will: Vec<Planned>,
    /// What will not, and why, with how many: already ended, not permitted, read-only.
    pub skipped: Vec<(Clean, Vec<Target>)>,
}

/// A question before something that can't be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// What will be sent on yes: only what is permitted.
    pub draft: Draft,
    /// The blast radius.
    pub groups: Vec<ConfirmGroup>,
    /// The key that opened it: does nothing here.
    pub opened_by: Option<Key>,
    /// What must be typed, where the guard asks for it, and what has been.
    pub typed: Option<(String, Input)>,
}

/// One line of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// What is typed: of a payload, the path of the file.
    pub input: Input,
    /// What is wrong with it.
    pub error: Option<Clean>,
}

/// What a command takes, as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The command.
    pub command: Command,
    /// To what it will be done.
    pub targets: Vec<Target>,
    /// Endpoints that could be meant instead, where there is a choice; else empty.
    pub choices: Vec<EndpointName>,
    /// A field per input of the command, in its order; never empty.
    pub fields: Vec<Field>,
    /// The field that keys go into.
    pub selected: usize,
    /// Files by their paths, as far as they are read; `Some` while it is being sent.
    pub files: Option<Vec<(String, Payload)>>,
}

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new(command: Command, targets: Vec<Target>) -> Self {
        let fields = vec![Field::default(); command.spec().inputs.len()];
        Self { command, targets, choices: Vec::new(), fields, selected: 0, files: None }
    }

    /// An empty form for one of several endpoints, the first of them chosen.
    #[must_use]
    pub fn of_several(command: Command, choices: Vec<EndpointName>) -> Self {
        let targets = choices.first().cloned().map(Target::endpoint).into_iter().collect();
        Self { choices, ..Self::new(command, targets) }
    }

    /// Whether what is typed is a line for a shell.
    #[must_use]
    pub fn is_for_a_shell(&self) -> bool {
        self.lines().any(|(spec, field)| spec.name == "shell" && field.input.text.trim() == "yes")
    }

    /// The fields with what is fixed about them.
    pub fn lines(&self) -> impl Iterator<Item = (&'static InputSpec, &Field)> {
        self.command.spec().inputs.iter().zip(&self.fields)
    }

    /// What is fixed about the field that keys go into.
    #[must_use]
    pub fn spec(&self) -> Option<&'static InputSpec> {
        self.command.spec().inputs.get(self.selected)
    }

    /// The paths of the files that are to be read before it can be sent.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let payloads = self.lines().filter(|(spec, _)| spec.shape == InputShape::Payload);
        let paths = payloads.map(|(_, field)| field.input.text.trim().to_owned());
        paths.filter(|path| !path.is_empty()).collect()
    }
}

/// What lies over the screen. One at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// The keys of this screen.
    Help {
        /// The first line that is drawn.
        top: usize,
    },
    /// All actions by name.
    Palette {
        /// What is typed.
        input: Input,
        /// Which match is chosen, from 0.
        selected: usize,
    },
    /// Waits for 1 to 5.
    Priority {
        /// For these targets.
        targets: Vec<Target>,
    },
    /// Which columns the task table has.
    Columns {
        /// Index into [`super::Column::ALL`].
        selected: usize,
    },
    /// What a command takes.
    Form(Box<Form>),
    /// A question.
    Confirm(Box<Confirm>),
    /// Quitting would stop something.
    Quit {
        /// The local coordinator that ends.
        endpoint: EndpointName,
        /// Runs that would be cancelled.
        runs: Vec<Clean>,
    },
}
