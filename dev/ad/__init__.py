"""The Active Directory of the demo and the tests: a Samba domain controller of contoso.test."""
