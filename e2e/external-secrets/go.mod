// Nothing is built of it: its CustomResourceDefinitions are what the examples of deploy/examples are tried on.
module flux-resourceset.invalid/e2e/external-secrets

go 1.25.0

require github.com/external-secrets/external-secrets v1.3.2
