"""Service Quotas by boto3: what the account may do how often."""

from botocore.config import Config

from conformance.aws import AccountTest


class Quotas(AccountTest):
    needs = [("servicequotas", "ListServiceQuotas"), ("servicequotas", "GetServiceQuota")]

    def test_quotas_are_listed_told_and_refused(self):
        quotas = self.account.client("service-quotas")
        pages, listed = self.pages(quotas, "list_service_quotas", "Quotas", 30, ServiceCode="iotcore")
        self.assertGreater(pages, 1)
        by_name = {quota["QuotaName"]: quota for quota in listed}
        self.assertEqual(len(by_name), len(listed))
        self.assertEqual(by_name["ListCertificates API TPS"]["Value"], 10.0)
        self.assertEqual(by_name["Publish requests per second per connection"]["Value"], 100.0)
        for quota in listed:
            told = quotas.get_service_quota(ServiceCode="iotcore", QuotaCode=quota["QuotaCode"])["Quota"]
            self.assertEqual(told, quota)
            self.assertEqual((told["ServiceName"], told["GlobalQuota"]), ("AWS IoT Core", False))
            self.assertRegex(told["QuotaArn"], r"^arn:aws:servicequotas:[a-z0-9-]+:\d{12}:iotcore/L-[0-9A-F]{8}$")
        for call, more in [(quotas.list_service_quotas, {}), (quotas.get_service_quota, {"QuotaCode": "L-97DA2C60"})]:
            error = self.refused("NoSuchResourceException", call, ServiceCode="no-service", **more)
            self.assertEqual(error["Error"]["Message"], error["Message"])
        self.refused("NoSuchResourceException", quotas.get_service_quota, ServiceCode="iotcore", QuotaCode="L-00000000")
        self.refused("IllegalArgumentException", quotas.list_service_quotas, ServiceCode="iotcore", MaxResults=101)
        self.refused("InvalidPaginationTokenException", quotas.list_service_quotas, ServiceCode="iotcore", NextToken="bm9uZQ==")


class Rates(AccountTest):
    options = ["--account-rates", "true"]

    def test_a_call_too_many_is_refused_in_each_services_words_and_boto3_comes_through(self):
        """The service's models name one exception with two statuses; botocore's own retries know it."""
        for service, call, status in [("iot", "describe_endpoint", 400), ("iot-data", "list_retained_messages", 429)]:
            refused = None
            client = self.account.client(service)
            for _ in range(200):
                try:
                    getattr(client, call)()
                except client.exceptions.ThrottlingException as error:
                    refused = error.response
                    break
            self.assertEqual(refused["Error"], {"Code": "ThrottlingException", "Message": "Rate exceeded"}, call)
            self.assertEqual(refused["ResponseMetadata"]["HTTPStatusCode"], status)
            patient = self.account.client(service, config=Config(retries={"total_max_attempts": 10, "mode": "standard"}))
            for _ in range(15):
                getattr(patient, call)()
