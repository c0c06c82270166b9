import subprocess
import sys

import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from vault.fields.country_code import country_code_length


@pytest.mark.parametrize("code", COUNTRY_CODE_TO_REGION_CODE)
@pytest.mark.parametrize("after", ["0000000", "1234567", "9999999"])
def test_the_length_is_that_of_the_code_whatever_follows(code, after):
    assert country_code_length(f"{code}{after}") == len(str(code))


def test_the_package_imports_no_library_before_a_value_needs_it():
    program = "import sys, vault.fields; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"phonenumbers", "email_validator", "regex"} & set(done.stdout.split())
