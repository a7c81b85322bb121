//! Passwords, as argon2id hashes in the PHC string format (`$argon2id$v=19$m=…`).

use argon2::{
    Argon2, PasswordHasher, PasswordVerifier,
    password_hash::{
        Error as HashError,
        phc::{Output, PasswordHash},
    },
};

/// Shortest password that is hashed, bytes.
const SHORTEST: usize = 8;
/// Longest password that is hashed or compared, bytes: hashing a larger one is work that a stranger makes us do.
pub(crate) const LONGEST: usize = 1_024;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too short to be worth hashing, or absurdly long.
    #[error("a password has {SHORTEST} to {LONGEST} bytes")]
    Length,
    /// The text is not a hash made by [`hash_password`] or another argon2id.
    #[error("the password's hash is not an argon2id hash in the PHC string format")]
    Malformed,
    /// The machine has no randomness or no memory to give.
    #[error("the password cannot be hashed")]
    Hashing(#[source] HashError),
}

/// The hash of a password for [`User::new`](super::User::new): argon2id with a salt of its own, 19 MiB and two passes. Takes some
/// ten milliseconds of a core.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        return Err(PasswordError::Length);
    }
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(PasswordError::Hashing)?;
    Ok(hash.to_string())
}

/// A hash that was read and can be compared with.
#[derive(Clone, Debug)]
pub(crate) struct Hashed(PasswordHash);

impl Hashed {
    pub(crate) fn read(text: &str) -> Result<Hashed, PasswordError> {
        let hash = PasswordHash::new(text).map_err(|_| PasswordError::Malformed)?;
        // A hash without salt or digest opens for nobody: better to learn that at the start.
        let is_whole = hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
        if is_whole { Ok(Hashed(hash)) } else { Err(PasswordError::Malformed) }
    }

    /// A hash of the same cost that no password fits.
    pub(super) fn of_nobody(mut self) -> Hashed {
        // All bits of a digest of random bytes turned over: as hard to meet as the one before, and unknown to everybody.
        self.0.hash = self.0.hash.and_then(|digest| {
            let turned: Vec<u8> = digest.as_bytes().iter().map(|byte| !byte).collect();
            Output::new(&turned).ok()
        });
        self
    }

    /// Whether this is the password. Takes as long as hashing.
    pub(crate) fn is(&self, password: &str) -> bool {
        password.len() <= LONGEST && Argon2::default().verify_password(password.as_bytes(), &self.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse").unwrap(), "salted");
        let hashed = Hashed::read(&hash).unwrap();
        assert!(hashed.is("correct horse"));
        assert!(!hashed.is("correct horsf") && !hashed.is("") && !hashed.is(&"x".repeat(5_000)));
    }

    #[test]
    fn what_is_no_argon2id_hash_is_refused() {
        for text in ["", "secret", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1"] {
            assert!(matches!(Hashed::read(text), Err(PasswordError::Malformed)), "{text}");
        }
        assert!(matches!(hash_password("short"), Err(PasswordError::Length)));
    }
}
