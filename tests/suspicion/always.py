"""Stems that are always taken, whatever texts there are (R30)."""

from __future__ import annotations

# Strong: the law or the standard keywords name them, or few chats have them. `_` is a space.
_STRONG = """
stop_ stopp_ sotp_ stpo_ stopl_ stopo_ stoip_ stiop_ stpop_ sstop_ sto_p_ unsub opt_out optout
opt_me_ exit_ end_this_ end_these_ end_all_ end_text end_message end_it_ end_the_text quit_text
quit_this_ quit_send no_text no_message be_texted be_contacted be_messaged hear_from_you
remove_me_ remove_my_ remove_this_ take_me_of off_your_ off_ur_ off_the_list lose_my_n lose_this_n
leave_me_alone dont_text don't_text not_text not_message not_contact dont_contact dnc_ alerts_off
all_the_texts another_text any_messages any_more_of any_of_these any_texts anymore_text
ask_for_this asked_for_this asked_you_to be_reported blow_up_my blowing_up bug_off call_again
calling_me calling_this contact_me contact_us delete_me delete_my did_not_sign do_not_call
do_not_consent do_not_send do_not_want don't_call don't_send don't_want_to_be don't_wish dont_call
dont_send dont_want_to_be erase f_off_ forget_me_ forget_my from_y'all from_yall fuck_off
get_me_off get_these getting_these go_away hit_me_up hit_my_ hit_this i_moved just_stop
last_message last_msg last_text leave_me_be leave_me_in leave_my_ leave_this leave_us let_this_be_
me_off me_out_of message_me_again more_of_these wanting_these be_turned_off automated_mess
both_my_n no_circumstances more_garbage more_text my_cell my_consent my_line_ my_name_off
my_permission name_out need_texts need_these never_signed no_interest no_longer_ no_sms no_thank
none_of_these none_of_this part_of_this nothing_from_y not_get_these no_txt dont_need_this
don't_need_this offers_to_y not_a_customer not_authorize not_call not_consent not_interested
not_my_name not_send not_wish now_stop number_off number_out off_my_phone off_that off_this
one_more_text opted out_of_this out_of_your permission_to piss_off quit_it receive_these removed
said_no_ screw_off shut_off signed_up_for switch_off take_her_off take_him_off st0p para_pls
para_plz para_por_f take_my_ take_us_off taken_off text_again text_here text_me_again texted_me
the_texts them_off these_alert these_mess these_msg these_notif these_off these_promo these_text
these_txt this_cell this_line this_number this_phone those_off told_you_not told_you_to too_many
turn_off unwanted ur_text us_off want_texts want_these who_is_this wrong_number wrong_person
your_messages your_text texts txts_ texting no_more_ spam_ me_again_ want_any_ no_call nit_text
dint_text mot_contact more_calls calls_or_text text_or_call lose_the_n here_wants of_my_phone
my_mother_alone throw_away_my opt_ut op_out baja_ إلغاء_
"""
# Anywhere, as they are: they need no space before, or none behind.
_ANYWHERE = "🛑 t⭕p STOPお STOPで STOPと stopお stopで"
# Weak, though common in ordinary messages: too much would be missed without them.
_WEAK = "off_ text_ number_ list_ msg_ end_ name_ remove"


def _stems(written: str) -> tuple[str, ...]:
    return tuple(" " + each.replace("_", " ") for each in written.split())


STRONG = (*_stems(_STRONG), *_ANYWHERE.split())
WEAK = _stems(_WEAK)
