//! Data keys are bound to their context.

use domain::{AccountId, BotId, Timestamp};
use store::{Keyring, SecretContext, StoreError};
use testkit::kms::{FakeKms, KEY_ARN};

fn context(bot: u128) -> SecretContext<'static> {
    let at = Timestamp::default();
    SecretContext::ModelKey { account: AccountId::from_parts(at, 1), bot: BotId::from_parts(at, bot) }
}

#[tokio::test]
async fn a_secret_opens_only_in_its_context() {
    runtime::install_crypto();
    let kms = FakeKms::start();
    let keyring = || Keyring::kms(kms.client(), KEY_ARN.to_owned());
    let sealed = keyring().seal(context(1), "sk-secret").await.unwrap();
    assert_eq!(keyring().open(context(1), &sealed).await.unwrap(), "sk-secret");
    assert!(matches!(keyring().open(context(2), &sealed).await, Err(StoreError::Corrupt(_))));
    let other = Keyring::kms(kms.client(), "another-key".to_owned());
    assert!(other.open(context(1), &sealed).await.is_err());
}
