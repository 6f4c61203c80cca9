"""The pages: a module each, whose `ROUTES` are its handlers.

    /                             overview.py (figures of series.py; events of ../streams.py)
    /account, /sign-in, /theme    account.py; /sign-in/provider and /sign-in/back: provider.py
    /cases, /cases/reasons        cases.py
    /cases/NUMBER                 case.py (drawings of case_drawings.py)
    /payments                     payments.py (searches.py; receipts.py)
    /models                       models.py (packaged.py; promotions.py)
    /features                     features.py (catalogue.py)
    /rules                        rules.py (rule_forms.py); /rules/edit, check, try: rule_editor.py
    /proposals/NUMBER             proposals.py
    /lists                        lists.py
    /users                        users.py
    /assets/NAME                  ../assets.py
    anything else                 nowhere.py

A page NAME shows `../templates/NAME.html`; a file that begins with `_` is a part that htmx swaps.
"""
