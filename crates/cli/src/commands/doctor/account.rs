//! The account over the AWS SDK, asked about one device; silent where there are no credentials.

use std::time::Duration;

use fleetkey_agent::doctor::{Account, Examination};
use fleetkey_aws::{Aws, Options};
use fleetkey_model::certificate::CertificateId;
use fleetkey_operator::control_plane::ApiError;

use super::target::Patient;
use crate::args::DoctorArgs;
use crate::diagnosis::{self, Questions};

/// Where there are no credentials it takes a moment to find that out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, or says why not.
pub(super) async fn ask(args: &DoctorArgs, patient: &Patient, examination: &Examination) -> Account {
    if args.account.no_account {
        return Account::silent("the account was not to be asked");
    }
    let Some(id) = examination.certificate().map(|facts| facts.id) else {
        return Account::silent("there is no certificate to ask the account about");
    };
    match tokio::time::timeout(PATIENCE, words(args, patient, id)).await {
        Ok(Ok(account)) => account,
        Ok(Err(error)) => Account::silent(format!("the account does not answer: {error}")),
        Err(_) => Account::silent(format!("the account does not answer within {PATIENCE:?}")),
    }
}

async fn words(args: &DoctorArgs, patient: &Patient, id: CertificateId) -> Result<Account, ApiError> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let options = Options {
        region: some(&args.account.region),
        profile: some(&args.account.profile),
        endpoint_url: some(&args.account.endpoint_url),
        data_host: None,
    };
    let aws = Aws::new(&options).await;
    let questions = Questions {
        thing: patient.thing.clone(),
        client: patient.client.clone(),
        topic: patient.topic.clone(),
        publishes: args.device.publishes.iter().map(ToString::to_string).collect(),
        subscribes: args.device.subscribes.iter().map(ToString::to_string).collect(),
    };
    diagnosis::ask(&aws, &aws.place().await?, id, &questions).await
}
