//! How the program ends. Public interface: scripts and CI read these numbers.

macro_rules! exits {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)*) => {
        /// Exit codes. Their meaning does not change within a major version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Exit { $($(#[doc = $doc])+ $name = $number,)* }

        impl Exit {
            /// All of them, for `tamis explain exit-codes` and the tests.
            pub const ALL: &[Exit] = &[$(Exit::$name,)*];

            /// One line: what it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Exit::$name => concat!($($doc),+),)* }
            }
        }
    };
}

exits! {
    /// all as expected
    Ok = 0;
    /// something that was checked does not hold: a filter broke, a test failed
    Findings = 1;
    /// the command line, a setting or an expression is not understood
    Usage = 2;
    /// building a filter failed, or what was built does not pass the gate
    Build = 3;
    /// nothing ran: no test was found, no exchange was selected
    NothingRan = 4;
    /// an input cannot be read: a capture, a module, a configuration, a test
    Unreadable = 5;
    /// a remote service failed or refused
    Remote = 6;
    /// a bug of tamis
    Bug = 70;
    /// interrupted by Ctrl-C or a closed pipe; what was done so far is reported
    Interrupted = 130;
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These numbers are public interface: a change here is a breaking change.
    #[test]
    fn the_numbers_are_what_the_documentation_says() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 70, 130]);
    }
}
