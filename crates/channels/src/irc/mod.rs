//! IRC bots: one connection to a network, over which everything comes and goes.
//!
//! [`run`] registers, joins, listens and says what it is given: [`render()`] makes lines of Markdown, and `run` splits them
//! further where the network's 512 bytes ask for it. **IRC keeps nothing:** what is said while the bot is not connected is
//! lost, unless a bouncer between them keeps it.
//!
//! Nobody is who their nick says. A sender's id is the account that the network vouches for, where it does; else
//! the whole `nick!user@host`, which no account's name can look like.
//!
//! The protocol: <https://modern.ircdocs.horse/>

mod casemapping;
mod connection;
mod dial;
mod flood;
mod incoming;
mod lines;
mod message;
mod outgoing;
mod registration;
mod render;
mod session;

pub use connection::run;
pub use dial::{Dial, check};
pub use registration::{Credentials, Secrets, Settings};
pub use render::{MAX_LINE, render};
