"""What boto3 calls the services, by the names that they sign with (and `/_fleetkey/coverage` lists them by)."""

SERVICES = {"iot": "iot", "iotdata": "iot-data", "iam": "iam", "sts": "sts", "lambda": "lambda", "logs": "logs",
            "servicequotas": "service-quotas"}
