//! The closed sets of words: one fixed lower-case word per value.

/// Makes an enum whose variants have one fixed lower-case word each, used in
/// JSON, on the command line, in filters and on the screen.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownWord;
            fn from_str(word: &str) -> Result<Self, $crate::model::UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.word() == word).ok_or_else(|| $crate::model::UnknownWord {
                    word: $crate::model::Clean::line(word),
                    known: Self::ALL.iter().map(|v| v.word()).collect(),
                })
            }
        }
    };
}
pub(crate) use words;

/// A word outside a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {}", known.join(", "))]
pub struct UnknownWord {
    /// What was given.
    pub word: super::Clean,
    /// What there is.
    pub known: Vec<&'static str>,
}
