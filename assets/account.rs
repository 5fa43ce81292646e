//! Account ids: who somebody is on one service, as text that sorts, joins and reads well.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The SteamID64 of account number 0 in the public universe; account numbers are added to it.
const STEAM_INDIVIDUAL_BASE: u64 = 76_561_197_960_265_728;

/// The longest name after the service, in characters.
const MAX_NAME_CHARACTERS: usize = 64;

/// An individual Steam account, in any of its spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SteamId(u32);

impl SteamId {
    /// The account with that number (the `n` of `[U:1:n]`); 0 is no account.
    #[must_use]
    pub const fn from_account_number(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The account with that 64-bit id, if it is an individual's in the public universe.
    #[must_use]
    pub fn from_steamid64(id: u64) -> Option<Self> {
        u32::try_from(id.checked_sub(STEAM_INDIVIDUAL_BASE)?).ok().and_then(Self::from_account_number)
    }

    /// Reads `[U:1:n]` and `STEAM_X:Y:Z`; anything else, bots and pending ids included, is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix("[U:1:").and_then(|rest| rest.strip_suffix(']')) {
            return number_from_digits(number).and_then(Self::from_account_number);
        }
        let mut parts = text.strip_prefix("STEAM_")?.splitn(3, ':');
        let (universe, parity, half) = (parts.next()?, parts.next()?, parts.next()?);
        if universe.len() != 1 || !universe.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let parity = match parity {
            "0" => 0,
            "1" => 1,
            _ => return None,
        };
        number_from_digits(half)?.checked_mul(2)?.checked_add(parity).and_then(Self::from_account_number)
    }

    /// The 64-bit id.
    #[must_use]
    pub const fn steamid64(self) -> u64 {
        STEAM_INDIVIDUAL_BASE + self.0 as u64
    }
}

/// Digits only: `str::parse` would also take a leading `+`.
fn number_from_digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// `service:name`: one account on one service.
///
/// | text | the account |
/// |---|---|
/// | `discord:115590097100865541` | a Discord user, by snowflake |
/// | `steam:76561198051645362` | a Steam account, by SteamID64 |
/// | `irc:4711` | a nick of a chat log |
/// | `minecraft:069a79f4-44e9-4726-a5be-fca90e38aaf5` | a Minecraft account, by UUID |
/// | `web:anna` | a user of the community's site |
///
/// One account has exactly one text, so equality of texts is equality of accounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(String);

impl AccountId {
    /// A Discord user.
    #[must_use]
    pub fn discord(snowflake: u64) -> Self {
        Self(format!("discord:{snowflake}"))
    }

    /// A Steam account.
    #[must_use]
    pub fn steam(id: SteamId) -> Self {
        Self(format!("steam:{}", id.steamid64()))
    }

    /// A nick of a chat log: 1 to 64 characters without white space, comma or control characters.
    ///
    /// # Errors
    /// When it is not such a nick.
    pub fn irc(nick: &str) -> Result<Self, AccountIdError> {
        let length = nick.chars().count();
        let forbidden = |character: char| character.is_whitespace() || character.is_control() || character == ',';
        if length == 0 || length > MAX_NAME_CHARACTERS || nick.contains(forbidden) {
            return Err(AccountIdError("a nick has 1 to 64 characters and no white space, comma or control character"));
        }
        Ok(Self(format!("irc:{nick}")))
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Why a text is no account id. The text itself is not repeated: it may be something private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an account id: {0}")]
pub struct AccountIdError(&'static str);

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        let Some((service, name)) = text.split_once(':') else {
            return Err(AccountIdError("it is `service:name`, such as discord:115590097100865541"));
        };
        match service {
            "discord" => snowflake(name)
                .map(Self::discord)
                .ok_or(AccountIdError("after `discord:` comes the user's snowflake, a number")),
            "steam" => name
                .parse()
                .ok()
                .and_then(SteamId::from_steamid64)
                .or_else(|| SteamId::parse(name))
                .map(Self::steam)
                .ok_or(AccountIdError("after `steam:` comes a SteamID64, [U:1:n] or STEAM_X:Y:Z")),
            "irc" => Self::irc(name),
            "minecraft" => uuid::Uuid::parse_str(name)
                .map(|id| Self(format!("minecraft:{}", id.hyphenated())))
                .map_err(|_| AccountIdError("after `minecraft:` comes the account's UUID")),
            "web" => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@');
                if name.is_empty() || name.len() > MAX_NAME_CHARACTERS || !name.bytes().all(allowed) {
                    return Err(AccountIdError("after `web:` come 1 to 64 letters, digits, `_`, `-`, `.` or `@`"));
                }
                Ok(Self(format!("web:{name}")))
            }
            _ => Err(AccountIdError("the service before `:` is one of discord, steam, irc, minecraft, web")),
        }
    }
}

/// A Discord id: decimal digits of a number from 1 to 2⁶³ − 1, which is what a `bigint` holds.
#[must_use]
pub fn snowflake(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&id: &u64| id > 0 && i64::try_from(id).is_ok())
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}
