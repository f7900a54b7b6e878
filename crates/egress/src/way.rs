//! A guard with its client, for calls that carry secrets.

use std::sync::OnceLock;

use reqwest::Client;
use reqwest::redirect::Policy;

use crate::Guard;

/// The way to addresses that owners enter: public ones, and private ones that the operator lists. It follows no redirect, which
/// would take what is sent elsewhere.
///
/// It is made when it is first needed: a machine without root certificates can do everything else.
#[derive(Debug)]
pub struct Way {
    allow: Vec<String>,
    made: OnceLock<Result<(Guard, Client), String>>,
}

impl Way {
    /// `allow` has `host:port` pairs, as in [`Guard::new`].
    pub fn new(allow: &[String]) -> Way {
        Way { allow: allow.to_vec(), made: OnceLock::new() }
    }

    /// The guard, which each URL is checked by first, and the client.
    ///
    /// # Errors
    ///
    /// Why they cannot be made: what an operator has to repair.
    pub fn get(&self) -> Result<(&Guard, &Client), &str> {
        let make = || {
            let guard = Guard::new(&self.allow).map_err(|error| error.to_string())?;
            let client = guard.client(Policy::none()).map_err(|error| error.to_string())?;
            Ok((guard, client))
        };
        self.made.get_or_init(make).as_ref().map(|(guard, client)| (guard, client)).map_err(String::as_str)
    }
}
