"""Makes the list of operations that AWS's models of AWS IoT and Lambda know: service, method, path, name.

    python conformance/make_operations.py > crates/iotcore/src/rest/operations.txt

The local IoT Core names an operation by it that it does not have. Facts from botocore's `iot`, `iot-data` and `lambda`;
nothing else of the models is kept.
"""

import botocore
import botocore.loaders

SERVICES = {"iot": "iot", "iot-data": "iotdata", "lambda": "lambda"}


def main():
    print(f"# service method path operation; botocore {botocore.__version__}, conformance/make_operations.py")
    loader = botocore.loaders.create_loader()
    for service, signing in SERVICES.items():
        operations = loader.load_service_model(service, "service-2")["operations"]
        for name in sorted(operations):
            http = operations[name]["http"]
            print(signing, http["method"], http["requestUri"].split("?")[0], name)


if __name__ == "__main__":
    main()
