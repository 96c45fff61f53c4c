//! Shows who waits behind a code that somebody typed.

use super::{Device, hashed};
use crate::access::OrgScope;
use crate::activation::Error;
use crate::activation::sql::devices;
use crate::engine::Engine;

/// The plugin that waits with this code. Codes that nobody was given are counted as guesses, by the address they come from.
///
/// # Errors
/// [`Error::NotFound`] whatever is wrong with the code; [`Error::TooManyGuesses`].
pub async fn find(engine: &Engine, scope: &OrgScope, user_code: &str, address: Option<&str>) -> Result<Device, Error> {
    engine.guesses().admit(engine, address)?;
    let mut connection = engine.read_for(scope).await?;
    let found = devices::pending(&mut connection, &hashed(engine, user_code), engine.now()).await?;
    found.ok_or_else(|| {
        engine.guesses().missed(address);
        Error::NotFound
    })
}
