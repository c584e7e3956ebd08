"""Active Directory over LDAP: the only package that imports ldap3."""
